"""Exceptions of one part of the model, written into the Studio's recipe."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import BadInput
from compresslab.recipes.layerwise import LayerMethod
from compresslab_dashboard.layers import exceptions
from compresslab_dashboard.layers.looking import SCOPES, Looking
from compresslab_dashboard.layers.shown import Shown
from compresslab_dashboard.recipe.sketch import Block
from compresslab_dashboard.session import recipe_address, state
from compresslab_dashboard.texts import Words, escaped
from compresslab_dashboard.widgets.one_of import one_of


def editor(shown: Shown, words: Words) -> None:
    """One list for each step that treats matrices one by one."""
    with st.container(border=True, key="editor"):
        st.markdown(f"**{words('layers.edit')}**")
        if not shown.editable:
            st.caption(words("layers.edit.run"))
            st.button(words("layers.edit.open"), key="open_recipe", on_click=_open, args=(shown.run_id,))
            return
        blocks = [
            block for block in state.current().editing.sketch.blocks if block.on and isinstance(block.step, LayerMethod)
        ]
        if not blocks:
            st.caption(words("layers.edit.nothing"))
            if st.button(words("history.empty.action"), key="to_studio", type="primary"):
                st.switch_page(state.page("studio"), query_params=recipe_address.params())
            return
        pattern = _pattern(shown, words)
        for block in blocks:
            _choice(block, pattern, words)
        _standing(blocks, words)


def _pattern(shown: Shown, words: Words) -> str:
    looking = state.own(Looking)
    looking.scope = one_of(
        words("layers.scope"),
        SCOPES,
        looking.scope,
        lambda scope: words(f"layers.scope.{scope}"),
        key="exception_scope",
        width="stretch",
        label_visibility="collapsed",
    )
    pattern = exceptions.pattern_of(shown.matrix, looking.scope)
    st.caption(escaped(pattern))
    return pattern


def _choice(block: Block, pattern: str, words: Words) -> None:
    step = block.step
    assert isinstance(step, LayerMethod)
    options = exceptions.choices(step)
    now = exceptions.chosen(step, pattern)
    key = f"exception.{block.place}"
    st.session_state[key] = now
    st.selectbox(
        words.short_title(step.name),
        options=options if now in options else [*options, now],
        format_func=lambda choice: _said(choice, words),
        key=key,
        on_change=_take,
        args=(block.place, pattern, key),
    )


def _said(choice: exceptions.Choice, words: Words) -> str:
    if isinstance(choice, str):
        return words(f"layers.choice.{choice}")
    return words("layers.bits", bits=choice) if isinstance(choice, int) else f"{choice:.0%}"


def _take(place: str, pattern: str, key: str) -> None:
    give(place, pattern, st.session_state[key])


def give(place: str, pattern: str, choice: exceptions.Choice) -> None:
    """The recipe's step has this choice for the pattern from now on."""
    sketch = state.current().editing.sketch
    block = sketch.block(place)
    assert isinstance(block.step, LayerMethod)
    try:
        step = exceptions.excepted(block.step, pattern, choice)
    except BadInput as error:
        state.current().problem = error.message
        return
    state.replace_sketch(sketch.with_step(place, step))


def _standing(blocks: list[Block], words: Words) -> None:
    """How many exceptions there are, and the way to be rid of all."""
    count = sum(len(b.step.overrides) + len(b.step.ignore) for b in blocks if isinstance(b.step, LayerMethod))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(words("layers.exceptions", count=count), width="stretch")
        st.button(
            words("layers.exceptions.clear"),
            key="clear_exceptions",
            type="tertiary",
            disabled=not count,
            on_click=_clear,
        )


def _clear() -> None:
    sketch = state.current().editing.sketch
    steps = [exceptions.without(step) if isinstance(step, LayerMethod) else step for step in sketch.recipe.steps]
    state.replace_sketch(sketch.with_steps(steps))


def _open(run_id: str | None) -> None:
    session = state.current()
    try:
        state.open_run(state.record(run_id or ""))
    except BadInput as error:
        session.problem = error.message
        return
    state.own(Looking).run = None
