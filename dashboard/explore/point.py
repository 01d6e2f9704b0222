"""The point that was clicked: its numbers, and the ways on from it."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.recipes.recipe import Recipe
from compresslab.store.sweeps import SweepRow
from compresslab_dashboard.explore.dots import Dot
from compresslab_dashboard.explore.exploring import Exploring
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.explore.scene import Scene, dot_text, told
from compresslab_dashboard.recipe.sketch import Sketch
from compresslab_dashboard.session import recipe_address, state
from compresslab_dashboard.texts import Words, escaped


def point_card(row: SweepRow | None, scene: Scene, words: Words) -> None:
    """Its height is the same whether there is a point or not."""
    dot = next((dot for dot in scene.dots if dot.name == scene.picked), None)
    with st.container(border=True, key="point"):
        if dot is None:
            st.caption(words("explore.pick"))
            _compare_bar(words)
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escaped(dot_text(dot, scene.axes, words))}**", width="stretch")
            _ways_on(row, dot, words)
        st.caption(escaped(_numbers(scene.foreseen.get(dot.name, dot), words)))
        _compare_bar(words)


def _numbers(dot: Dot, words: Words) -> str:
    if dot.reading is None:
        state_text = words(f"explore.state.{dot.state}")
        return f"{state_text}: {words.said(dot.said)}" if dot.said else state_text
    numbers = [
        f"{words(f'explore.measure.{name}')} {told(dot, name, words)}"
        for name in MEASURES
        if dot.number(name) is not None
    ]
    return " · ".join([words(f"label.{dot.reading.stage}"), *numbers, *([words.said(dot.said)] if dot.said else [])])


def _ways_on(row: SweepRow | None, dot: Dot, words: Words) -> None:
    if dot.state != "aside" and st.button(words("history.open"), key="open_point", type="primary"):
        _open(row, dot)
        st.rerun()
    if row is not None and dot.draft and dot.state == "done":
        refusal = state.workspace().sweeps.refusal(row.id, state.visitor())
        help_text = escaped(words.said(refusal)) if refusal else words("explore.in_full.help")
        if st.button(words("explore.in_full"), key="in_full", help=help_text, disabled=refusal is not None):
            _in_full(row, dot)
            st.rerun()
    if dot.reading is not None and not dot.draft:
        run_id = dot.reading.run_id
        add = state.own(Exploring).add_to_compare
        st.button(words("explore.compare.add"), key="add_to_compare", on_click=add, args=(run_id,))


def _open(row: SweepRow | None, dot: Dot) -> None:
    """In the Studio: the run with its numbers where it is final, else the recipe."""
    session = state.current()
    try:
        if dot.reading is not None and not dot.draft:
            state.open_run(state.record(dot.reading.run_id))
        elif row is not None:
            recipe: Recipe | None = state.workspace().sweeps.recipe(row.id, int(dot.name))
            if recipe is not None:
                state.replace_sketch(Sketch.of(recipe))
    except BadInput as error:
        session.problem = error.message
        return
    state.own(Exploring).leaving = ("studio", recipe_address.params())


def _in_full(row: SweepRow, dot: Dot) -> None:
    session = state.current()
    try:
        state.workspace().sweeps.in_full(row.id, [int(dot.name)], by=state.visitor())
    except CompresslabError as error:
        session.problem = error.message


def _compare_bar(words: Words) -> None:
    """What was put aside to be compared, and the way there."""
    runs = state.own(Exploring).compare
    if not runs:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="compare_bar"):
        st.caption(words("explore.compare.chosen", count=len(runs)), width="stretch")
        st.button(words("explore.compare.clear"), key="clear_compare", type="tertiary", on_click=runs.clear)
        if st.button(words("explore.compare.open"), key="open_compare", disabled=len(runs) < 2):
            state.own(Exploring).leaving = ("compare", {"lang": words.language, "runs": ",".join(runs)})
            st.rerun()
