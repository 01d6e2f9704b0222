"""The History: every run, its recipe and numbers, to be opened again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
import yaml

from core.errors import BadInput, CompresslabError
from core.results import RunRecord
from dashboard import charts, frame, state
from dashboard.history_rows import jobs_table, machine_table, matching, measurements_table, runs_table, stages_table
from dashboard.recipe_words import steps_text
from dashboard.state import State
from dashboard.texts import Words, escaped

TABLE_HEIGHT = 380
CHART_HEIGHT = 260  # at least, however few runs there are
ROW_HEIGHT = 35
MOST_RUNS = 2000


def page() -> None:
    state.read_history_url()
    words = state.words()
    session = state.current()
    text = _filter(words)
    frame.foot()
    frame.notices()
    records = state.workspace().runs(limit=MOST_RUNS)
    _deleted(session, words)
    if records:
        _runs(session, records, text, words)
    else:
        _empty(words)
    _failed_jobs(words)
    state.write_history_url()


def _filter(words: Words) -> str:
    with st.sidebar:
        return str(st.text_input(words("history.filter"), key="filter", help=words("history.filter.help")) or "")


def _empty(words: Words) -> None:
    with st.container(border=True, key="history_empty"):
        st.markdown(words("history.empty"))
        if st.button(words("history.empty.action"), key="to_studio", type="primary"):
            st.switch_page(state.page("studio"), query_params=state.studio_params())


# -- all of them -----------------------------------------------------------------------------------------------


def _runs(session: State, records: list[RunRecord], text: str, words: Words) -> None:
    everything = runs_table(records, words)
    table = matching(everything, text)
    if table.empty:
        st.info(escaped(words("history.none_match", text=text)))
        return
    shown = [records[place] for place in table.index]
    count = words("history.count", count=len(shown))
    if len(shown) < len(records):
        count = words("history.count.some", count=len(shown), all=len(records))
    st.caption(count)
    left, right = st.columns([3, 2], gap="medium")
    height = min(TABLE_HEIGHT, ROW_HEIGHT * (len(table) + 1) + 3)
    chosen = next((record for record in records if record.run_id == session.selected), None)
    with left:
        _table(session, table, words, height)
        if chosen is None:
            st.caption(words("history.select"))
    with right:
        _scatter(session, shown, words, max(CHART_HEIGHT, height))
    if chosen is not None:
        _details(session, chosen, words)


def _table(session: State, table: pd.DataFrame, words: Words, height: int) -> None:
    """The key changes when a run is deleted: the mark on its row goes with it."""
    key = f"runs_table.{session.deletions}"
    run_ids = list(table["run"])
    with st.container(key="runs"):
        st.dataframe(
            table,
            key=key,
            hide_index=True,
            row_height=ROW_HEIGHT,
            height=height,
            column_config=_columns(words),
            on_select=lambda: _take_row(key, run_ids),
            selection_mode="single-row",
        )


def _columns(words: Words) -> dict[str, Any]:
    def head(name: str) -> str:
        return words(f"history.col.{name}")

    column = st.column_config
    return {
        "date": column.DatetimeColumn(head("date"), format="MM-DD HH:mm", width=92),
        "model": column.TextColumn(head("model"), width=92),
        "recipe": column.TextColumn(head("recipe"), width=150),
        "size": column.NumberColumn(head("size"), format="%.2f×", width=78),
        "perplexity": column.NumberColumn(head("perplexity"), format="%+.2f %%", width=92),
        "perplexity_error": column.NumberColumn(head("perplexity_error"), format="%.2f", width=56),
        "accuracy": column.NumberColumn(head("accuracy"), format="percent"),
        "flipped": column.NumberColumn(head("flipped"), format="percent"),
        "speed": column.NumberColumn(head("speed"), format="%.2f×"),
        "seconds": column.NumberColumn(head("seconds"), format="%.1f s"),
        "device": column.TextColumn(head("device"), width="small"),
        "run": column.TextColumn(head("run")),
    }


def _take_row(key: str, run_ids: Sequence[str]) -> None:
    rows = st.session_state[key].selection.rows
    state.current().selected = run_ids[rows[0]] if rows else None


def _scatter(session: State, records: list[RunRecord], words: Words, height: int) -> None:
    figure = charts.history_scatter(records, words, label=lambda record: steps_text(record.recipe, words))
    key = f"runs_chart.{session.deletions}"
    st.plotly_chart(
        figure,
        key=key,
        height=height,
        on_select=lambda: _take_point(key),
        selection_mode="points",
        config={"displayModeBar": False},
        theme=None,  # style.css colours text and grid
        alt=charts.describe_history(records, words),
    )


def _take_point(key: str) -> None:
    points = st.session_state[key].selection.points
    if points:
        chosen = points[0].get("customdata")
        state.current().selected = str(chosen[0] if isinstance(chosen, list) else chosen)


# -- one of them -----------------------------------------------------------------------------------------------


def _details(session: State, record: RunRecord, words: Words) -> None:
    with st.container(border=True, key="details"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = f"{record.model}: {steps_text(record.recipe, words)}"
            st.markdown(f"**{escaped(name)}** · {escaped(record.run_id)}", width="stretch")
            if st.button(words("history.open"), key="open_run", type="primary"):
                _open(session, record)
            st.button(words("history.delete"), key="delete_run", on_click=_delete, args=(record.run_id,))
        for notice in record.notices:
            st.caption(escaped(notice))
        numbers, recipe = st.columns([3, 2], gap="medium")
        with numbers:
            _head(words("history.numbers"))
            st.dataframe(measurements_table(record, words), hide_index=True, key="run_numbers")
            _head(words("history.stages"))
            st.dataframe(stages_table(record, words), hide_index=True, key="run_stages")
        with recipe:
            _head(words("history.recipe"))
            st.code(_yaml(record), language="yaml", height=300)
            _head(words("history.machine"))
            st.dataframe(machine_table(record, words), hide_index=True, key="run_machine")


def _head(text: str) -> None:
    st.markdown(f"**{text}**")


def _yaml(record: RunRecord) -> str:
    return str(yaml.safe_dump(record.recipe, sort_keys=False))


def _open(session: State, record: RunRecord) -> None:
    try:
        state.open_run(record)
    except BadInput as error:
        st.error(escaped(str(error)))
        return
    st.switch_page(state.page("studio"), query_params=state.studio_params())


def _delete(run_id: str) -> None:
    session = state.current()
    try:
        state.workspace().delete_run(run_id)
    except CompresslabError as error:
        session.problem = str(error)
        return
    state.forget_run(run_id)
    session.deleted, session.selected = run_id, None
    session.deletions += 1


def _deleted(session: State, words: Words) -> None:
    if session.deleted is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="deleted"):
        st.markdown(words("history.deleted", run=escaped(session.deleted)), width="stretch")
        st.button(words("history.undo"), key="undo_delete", on_click=_restore, args=(session.deleted,))


def _restore(run_id: str) -> None:
    session = state.current()
    try:
        state.workspace().restore_run(run_id)
        session.selected = run_id
    except CompresslabError as error:
        session.problem = str(error)
    session.deleted = None


def _failed_jobs(words: Words) -> None:
    table = jobs_table(state.workspace().jobs(("failed", "cancelled")), words)
    if not table.empty:
        with st.expander(words("history.failed"), key="failed_jobs"):
            st.dataframe(table, hide_index=True, key="failed_table")
