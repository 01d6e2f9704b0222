"""What is chosen: one run whole, or what can be done with several."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.files import plain_yaml
from compresslab.messages import Message
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord
from compresslab.records.run_row import RunRow
from compresslab_dashboard.history.picked import Picked
from compresslab_dashboard.recipe.words import model_text, steps_text
from compresslab_dashboard.report.button import report_button
from compresslab_dashboard.results.exported import exports_table
from compresslab_dashboard.results.tables import machine_table, measurements_table, stages_table
from compresslab_dashboard.session import recipe_address, state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.texts import Words, escaped

MOST_COMPARED = 6
RECIPE_HEIGHT = 300  # pixels
WIDTHS = {"baseline": 160, "compressed": 170, "change": 120, "dataset": 200, "label": 220}  # pixels, of the numbers


def several(session: State, rows: Sequence[RunRow], words: Words) -> None:
    """Side by side, as one report, or away with them."""
    too_many = len(rows) > MOST_COMPARED
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="several"):
        said = words("history.chosen", count=len(rows))
        st.markdown(f"{said} {words('history.too_many', most=MOST_COMPARED)}" if too_many else said, width="stretch")
        if st.button(words("history.compare"), key="compare_runs", type="primary", disabled=too_many):
            params = {"lang": session.language, "runs": ",".join(row.run_id for row in rows)}
            st.switch_page(state.page("compare"), query_params=params)
        report_button([row.run_id for row in rows], words, disabled=too_many)
        refusal = _refusal([row.run_id for row in rows])
        _delete_button([row.run_id for row in rows], refusal, words)
    _whose(refusal, words)


def _delete_button(run_ids: Sequence[str], refusal: Message | None, words: Words) -> None:
    disabled = refusal is not None
    st.button(words("history.delete"), key="delete_run", disabled=disabled, on_click=_delete, args=(run_ids,))


def _refusal(run_ids: Sequence[str]) -> Message | None:
    """Why these runs are to be looked at alone."""
    return state.workspace().runs.refusal(run_ids, state.visitor())


def _whose(refusal: Message | None, words: Words) -> None:
    if refusal is not None:
        st.caption(escaped(words.said(refusal)))


# -- one, whole ------------------------------------------------------------------------------------------------


def details(session: State, record: RunRecord, row: RunRow, words: Words) -> None:
    refusal = _refusal([record.run_id])
    with st.container(border=True, key="details"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = f"{model_text(record.model)}: {steps_text(record.recipe, words)}"
            st.markdown(f"**{escaped(name)}** · {escaped(record.run_id)}", width="stretch")
            if st.button(words("history.open"), key="open_run", type="primary"):
                _open(session, record)
            if st.button(words("history.again"), key="run_again", help=words("history.again.help")):
                _run_again(session, record)
            report_button([record.run_id], words)
            _delete_button([record.run_id], refusal, words)
        _whose(refusal, words)
        _annotation(row, refusal is not None, words)
        _head(words("history.numbers"))
        widths = {words(f"measure.{name}"): st.column_config.Column(width=pixels) for name, pixels in WIDTHS.items()}
        st.dataframe(
            measurements_table(record, words),
            hide_index=True,
            height="content",
            column_config=widths,
            key="run_numbers",
        )
        with st.container(gap=None, key="run_notices"):
            for notice in record.notices:
                st.caption(escaped(words.said(notice)))
        _recipe_and_machine(record, words)


def _recipe_and_machine(record: RunRecord, words: Words) -> None:
    recipe, machine = st.columns(2, gap="medium")
    with recipe:
        _head(words("history.recipe"))
        st.code(_yaml(record), language="yaml", height=RECIPE_HEIGHT)
        if record.exports:
            _head(words("history.exports"))
            st.dataframe(exports_table(record, words), hide_index=True, key="run_exports")
    with machine:
        _head(words("history.machine"))
        st.dataframe(machine_table(record, words), hide_index=True, key="run_machine")
        _head(words("history.stages"))
        st.dataframe(stages_table(record, words), hide_index=True, key="run_stages")


def _head(text: str) -> None:
    st.markdown(f"**{text}**")


def _yaml(record: RunRecord) -> str:
    return plain_yaml.dump(record.recipe)


def _open(session: State, record: RunRecord) -> None:
    try:
        state.open_run(record)
    except BadInput as error:
        st.error(escaped(state.words().said(error.message)))
        return
    st.switch_page(state.page("studio"), query_params=recipe_address.params())


def _run_again(session: State, record: RunRecord) -> None:
    """The same recipe as a new run; the Studio shows how far it is."""
    try:
        recipe = Recipe.from_dict(record.recipe)
        job = state.workspace().submit(recipe, owner=state.visitor().owner)
    except CompresslabError as error:
        st.error(escaped(state.words().said(error.message)))
        return
    state.watch_run(recipe, job)
    st.switch_page(state.page("studio"), query_params=recipe_address.params())


# -- tags and a note -------------------------------------------------------------------------------------------


def _annotation(row: RunRow, fixed: bool, words: Words) -> None:
    """Kept as soon as it is changed."""
    keys = f"tags.{row.run_id}", f"note.{row.run_id}"
    st.session_state[keys[0]], st.session_state[keys[1]] = list(row.tags), row.note
    tags, note = st.columns([2, 3], gap="medium")
    tags.multiselect(
        words("history.tags"),
        options=state.workspace().runs.labels().tags,
        key=keys[0],
        placeholder=words("history.tags.placeholder"),
        accept_new_options=True,
        disabled=fixed,
        on_change=_annotate,
        args=(row.run_id, *keys),
    )
    note.text_input(
        words("history.note"),
        key=keys[1],
        placeholder=words("history.note.placeholder"),
        disabled=fixed,
        on_change=_annotate,
        args=(row.run_id, *keys),
    )


def _annotate(run_id: str, tags: str, note: str) -> None:
    session = state.current()
    session.problem = ""
    try:
        state.workspace().runs.annotate(run_id, st.session_state[tags], st.session_state[note], by=state.visitor())
    except CompresslabError as error:
        session.problem = error.message


# -- away, and back --------------------------------------------------------------------------------------------


def _delete(run_ids: Sequence[str]) -> None:
    session = state.current()
    session.problem, state.own(Picked).deleted = "", []
    try:
        for run_id in run_ids:
            state.workspace().runs.delete(run_id, by=state.visitor())
            state.own(Picked).deleted.append(run_id)
            state.forget_run(run_id)
    except CompresslabError as error:
        session.problem = error.message
    state.own(Picked).runs = []
    state.own(Picked).deletions += 1


def deleted(session: State, words: Words) -> None:
    """The way back, until something else is deleted."""
    if not state.own(Picked).deleted:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="deleted"):
        names = escaped(", ".join(state.own(Picked).deleted))
        st.markdown(words("history.deleted", run=names), width="stretch")
        st.button(words("history.undo"), key="undo_delete", on_click=_restore)


def _restore() -> None:
    session = state.current()
    try:
        for run_id in state.own(Picked).deleted:
            state.workspace().runs.restore(run_id, by=state.visitor())
        state.own(Picked).runs = state.own(Picked).deleted
    except CompresslabError as error:
        session.problem = error.message
    state.own(Picked).deleted = []
