"""The History: every run, its recipe and numbers, to be found, compared, noted, run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from compresslab.records.results import RunSummary
from compresslab.store.runs import Annotation
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.history.chosen import deleted, details, several
from compresslab_dashboard.history.listed import LISTED_DATE, listed
from compresslab_dashboard.history.picked import Picked
from compresslab_dashboard.results.tables import jobs_table, matching, runs_table
from compresslab_dashboard.session import address, recipe_address, state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped

MOST_RUNS = 2000


@dataclass(frozen=True)
class Filter:
    """What the runs must have; empty: whatever."""

    text: str = ""
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def lets(self, record: RunSummary, annotation: Annotation) -> bool:
        return (not self.models or record.model in self.models) and set(self.tags) <= set(annotation.tags)


def draw() -> None:
    words = state.words()
    session = state.current()
    records = state.workspace().runs.summaries(limit=MOST_RUNS)
    annotations = state.workspace().runs.annotations()
    wanted = _filter(records, annotations, words)
    frame.foot()
    frame.notices()
    deleted(session, words)
    if records:
        _runs(session, records, annotations, wanted, words)
    else:
        _empty(words)
    _failed_jobs(words)
    address.write(state.own(Picked).params())


def _take(params: Mapping[str, str]) -> None:
    state.own(Picked).take(params)


PAGE = Page("history", draw, _take)


def _filter(records: list[RunSummary], annotations: Mapping[str, Annotation], words: Words) -> Filter:
    models = list(dict.fromkeys(record.model for record in records))
    tags = sorted({tag for annotation in annotations.values() for tag in annotation.tags})
    every = words("history.filter.every")
    with st.sidebar:
        text = st.text_input(words("history.filter"), key="filter", help=words("history.filter.help"))
        of_models = (
            st.multiselect(words("model"), models, key="filter_models", placeholder=every) if len(models) > 1 else []
        )
        of_tags = st.multiselect(words("history.tags"), tags, key="filter_tags", placeholder=every) if tags else []
    return Filter(text or "", tuple(of_models), tuple(of_tags))


def _empty(words: Words) -> None:
    with st.container(border=True, key="history_empty"):
        st.markdown(words("history.empty"))
        if st.button(words("history.empty.action"), key="to_studio", type="primary"):
            st.switch_page(state.page("studio"), query_params=recipe_address.params())


def _runs(
    session: State, records: list[RunSummary], annotations: Mapping[str, Annotation], wanted: Filter, words: Words
) -> None:
    let = [record for record in records if wanted.lets(record, annotations.get(record.run_id, Annotation()))]
    table = matching(runs_table(let, annotations, words), wanted.text)
    if table.empty:
        st.info(
            escaped(words("history.none_match", text=" ".join([wanted.text, *wanted.models, *wanted.tags]).strip()))
        )
        return
    count = words("history.count", count=len(table))
    if len(table) < len(records):
        count = words("history.count.some", count=len(table), all=len(records))
    listed(session, table, [let[place] for place in table.index], annotations, count, words)
    chosen = [record for record in records if record.run_id in state.own(Picked).runs]
    if len(chosen) > 1:
        several(session, chosen, words)
    elif chosen:
        details(session, state.workspace().runs.find(chosen[0].run_id), annotations, words)


def _failed_jobs(words: Words) -> None:
    table = jobs_table(state.workspace().jobs.in_states(("failed", "cancelled")), words)
    if not table.empty:
        with st.expander(words("history.failed"), key="failed_jobs"):
            date = st.column_config.DatetimeColumn(format=LISTED_DATE)
            columns = {words("history.failed.date"): date}
            st.dataframe(table, hide_index=True, column_config=columns, key="failed_table")
