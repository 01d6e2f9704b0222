"""Layers: what a recipe makes of every part of the model, how sensitive each part is, and exceptions for it."""

from __future__ import annotations

import html
from collections.abc import Mapping

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.store.runs import RunFilter
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.editing.fit import fit_to_size
from compresslab_dashboard.editing.head import recipe_head
from compresslab_dashboard.layers.board import bytes_card, maps
from compresslab_dashboard.layers.close_look import close_look
from compresslab_dashboard.layers.editor import editor
from compresslab_dashboard.layers.looking import Looking
from compresslab_dashboard.layers.shown import Shown, shown_of
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.session import address, recipe_address, state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped, formats

MOST_RUNS = 50  # that the list offers, the newest first


def draw() -> None:
    words, session = state.words(), state.current()
    with st.sidebar:
        _source(session, words)
        head = st.container(horizontal=True, vertical_alignment="center", key="recipe_head")
        rest = st.container()
    frame.foot()
    frame.notices()
    try:
        shown = shown_of(session)
    except CompresslabError as error:
        st.error(escaped(state.words().said(error.message)))
        recipe_head(head, words)
        return
    with rest:
        editor(shown, words)
        known = shown.editable and state.workspace().sensitivity.find(shown.recipe) is not None
        if known:  # else the map offers to measure
            fit_to_size(shown.plan.facts, words, expanded=True)
    if shown.editable:
        recipe_head(head, words)
    _sentence(shown, words)
    with st.container(key="layers_board"):
        maps(shown, words)
        close_look(shown)
        bytes_card(shown, words)
    address.write(recipe_address.params() | state.own(Looking).params())


def _take(params: Mapping[str, str]) -> None:
    """The Studio's recipe, and what of it is looked at."""
    recipe_address.take(params)
    state.own(Looking).take(params)


PAGE = Page("layers", draw, _take)


def _source(session: State, words: Words) -> None:
    """The Studio's recipe, or a run of its model."""
    model = session.recipe.model
    runs = {row.run_id: row for row in state.workspace().runs.rows(RunFilter(models=(model,)), limit=MOST_RUNS)}
    chosen = state.own(Looking).run
    names = {
        run_id: words("layers.of.run", steps=steps_text(r.recipe, words), run=run_id) for run_id, r in runs.items()
    }
    options = ["", *names] if chosen is None or chosen in names else ["", *names, chosen]
    st.session_state["layers_of"] = chosen or ""
    st.selectbox(
        words("layers.of"),
        options=options,
        format_func=lambda run_id: names.get(run_id, run_id) if run_id else words("layers.of.recipe"),
        key="layers_of",
        on_change=_take_source,
    )
    st.caption(escaped(model))


def _take_source() -> None:
    state.own(Looking).run = st.session_state["layers_of"] or None


def _sentence(shown: Shown, words: Words) -> None:
    """What anyone understands of it, first."""
    counted = [cell.bits for cell in shown.cells]
    zeros = sum(cell.sparsity for cell in shown.cells) / len(shown.cells)
    low, high = (formats.number(f(counted), 2) for f in (min, max))
    even = low == high
    said = words("layers.even" if even else "layers.uneven", low=low, high=high, zeros=formats.share(zeros))
    st.html(f'<div class="verdict"><h2>{html.escape(said)}</h2></div>')
