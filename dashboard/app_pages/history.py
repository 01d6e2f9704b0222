"""The History: every run, its recipe and numbers, to be found, compared, noted, run again."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.history.chosen import deleted, details, several
from compresslab_dashboard.history.listed import LISTED_DATE, Listed, listed
from compresslab_dashboard.history.picked import Picked
from compresslab_dashboard.history.wanted import wanted
from compresslab_dashboard.results.tables import jobs_table
from compresslab_dashboard.session import address, recipe_address, state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped


def draw() -> None:
    words = state.words()
    session = state.current()
    which = wanted(words)
    page = Listed.read(state.workspace().runs, which, state.own(Picked))
    frame.foot()
    frame.notices()
    deleted(session, words)
    if page.of:
        _runs(session, page, words)
    else:
        _empty(words)
    _failed_jobs(words)
    address.write(state.own(Picked).params())


def _take(params: Mapping[str, str]) -> None:
    state.own(Picked).take(params)


PAGE = Page("history", draw, _take)


def _empty(words: Words) -> None:
    with st.container(border=True, key="history_empty"):
        st.markdown(words("history.empty"))
        if st.button(words("history.empty.action"), key="to_studio", type="primary"):
            st.switch_page(state.page("studio"), query_params=recipe_address.params())


def _runs(session: State, page: Listed, words: Words) -> None:
    which = page.which
    if not page.rows:
        text = " ".join([which.text, *which.models, *which.tags]).strip()
        st.info(escaped(words("history.none_match", text=text)))
        return
    listed(page, words)
    runs, chosen = state.workspace().runs, state.own(Picked).runs
    found = {row.run_id: row for row in runs.rows_by_id(chosen)} if chosen else {}
    if len(found) > 1:
        several(session, [found[run_id] for run_id in chosen if run_id in found], words)
    elif found:
        (row,) = found.values()
        details(session, runs.find(row.run_id), row, words)


def _failed_jobs(words: Words) -> None:
    table = jobs_table(state.workspace().jobs.in_states(("failed", "cancelled")), words)
    if not table.empty:
        with st.expander(words("history.failed"), key="failed_jobs"):
            date = st.column_config.DatetimeColumn(format=LISTED_DATE)
            columns = {words("history.failed.date"): date}
            st.dataframe(table, hide_index=True, column_config=columns, key="failed_table")
