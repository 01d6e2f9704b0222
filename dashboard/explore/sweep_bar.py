"""Which sweep is looked at, how far it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab.store.sweeps import SweepRow
from compresslab_dashboard.explore import sentences
from compresslab_dashboard.explore.axes import scene_axis
from compresslab_dashboard.explore.exploring import RUNS, Exploring
from compresslab_dashboard.explore.scene import Scene
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats

OPEN = ("queued", "running")
LEFT = ("waiting", "stopped", "failed")


def source_row(rows: list[SweepRow], row: SweepRow | None, words: Words) -> None:
    """All sweeps, and all runs of the model; `row` is what is looked at."""
    exploring = state.own(Exploring)
    options = [*(str(row.id) for row in rows), RUNS]
    names = {str(row.id): _name(row, words) for row in rows}
    model = state.current().recipe.model
    st.session_state["source"] = str(row.id) if row is not None else RUNS
    with st.container(horizontal=True, vertical_alignment="bottom", key="source_row"):
        st.selectbox(
            words("explore.source"),
            options=options,
            format_func=lambda source: names.get(source) or words("explore.source.runs", model=model),
            key="source",
            on_change=lambda: exploring.look_at(st.session_state["source"]),
            label_visibility="collapsed",
        )
        if exploring.deleted is not None:
            st.button(words("explore.undo"), key="undo_sweep", on_click=_restore, args=(exploring.deleted,))


def _name(row: SweepRow, words: Words) -> str:
    sweep = Sweep.model_validate(row.spec)
    axes = words("explore.times").join(scene_axis(axis, base_of(sweep), words).label for axis in sweep.axes)
    return words("explore.source.sweep", number=row.id, model=sweep.base["model"], axes=axes, count=sweep.size)


def base_of(sweep: Sweep) -> Recipe:
    """For names alone: a recipe of another version keeps its sweep readable."""
    try:
        return Recipe.from_dict(sweep.base)
    except BadInput:
        return Recipe()


# -- how far it is ---------------------------------------------------------------------------------------------


def status(row: SweepRow | None, scene: Scene, words: Words) -> None:
    """One line of constant height."""
    if row is None:
        st.caption(words("explore.runs.count", count=len(scene.dots)))
        return
    bar, buttons = st.columns([5, 2], vertical_alignment="center")
    open_dots = [dot for dot in scene.dots if dot.state in OPEN]
    text = escaped(sentences.count_text(scene.dots, words))
    if open_dots:
        left = _time_left(row, len(open_dots), words)
        bar.progress(1 - len(open_dots) / len(scene.dots), text=text + (f" · {left}" if left else ""))
    else:
        bar.caption(text)
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        _buttons(row, scene, bool(open_dots), words)


def _time_left(row: SweepRow, points: int, words: Words) -> str:
    each = state.workspace().sweeps.seconds_each(Sweep.model_validate(row.spec))
    return formats.seconds_left(None if each is None else each * points, words.language)


def _buttons(row: SweepRow, scene: Scene, is_open: bool, words: Words) -> None:
    sweeps = state.workspace().sweeps
    refusal = state.workspace().sweeps.refusal(row.id, state.visitor())
    whose, fixed = escaped(words.said(refusal)) if refusal else "", refusal is not None
    if is_open:
        st.button(
            words("job.stop"),
            key="stop_sweep",
            disabled=fixed,
            help=whose or None,
            on_click=_do,
            args=(sweeps.stop, row.id),
        )
    elif any(dot.state in LEFT for dot in scene.dots) and st.button(
        words("explore.resume"), key="resume_sweep", help=whose or words("explore.resume.help"), disabled=fixed
    ):
        _do(sweeps.resume, row.id)
        st.rerun()
    best = [int(dot.name) for dot in scene.dots if dot.draft and dot.name in scene.front]
    if not is_open and best:
        help_text = whose or words("explore.front_in_full.help")
        if st.button(words("explore.front_in_full"), key="front_in_full", help=help_text, disabled=fixed):
            _do(sweeps.in_full, row.id, best)
            st.rerun()
    help_text = whose or words("explore.delete.help")
    if st.button(words("history.delete"), key="delete_sweep", type="tertiary", help=help_text, disabled=fixed):
        _delete(row.id)
        st.rerun()


def _do(change: Callable[..., object], sweep_id: int, *more: object) -> None:
    """As the visitor who asks for it."""
    session = state.current()
    session.problem = ""
    try:
        change(sweep_id, *more, by=state.visitor())
    except CompresslabError as error:
        session.problem = error.message


def _delete(sweep_id: int) -> None:
    exploring = state.own(Exploring)
    _do(state.workspace().sweeps.delete, sweep_id)
    if state.current().problem:
        return
    exploring.deleted = sweep_id
    exploring.look_at("")


def _restore(sweep_id: int) -> None:
    exploring = state.own(Exploring)
    _do(state.workspace().sweeps.restore, sweep_id)
    exploring.deleted = None
    exploring.look_at(str(sweep_id))
