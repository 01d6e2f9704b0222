"""The recipe as a stack of steps: added from the registry, switched off, reordered, duplicated, taken back."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from compresslab.models.facts import ModelFacts
from compresslab.recipes.method import METHODS, Kind
from compresslab.work.plugins import left_out
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.recipe.sketch import KINDS, Block
from compresslab_dashboard.session import state
from compresslab_dashboard.studio.presets import presets
from compresslab_dashboard.texts import Words, escaped


def stack(words: Words, facts: ModelFacts | None) -> None:
    limits: dict[str, float] = {"layers": facts.layers} if facts else {}
    blocks = tuple(_block(block, words, limits) for block in state.current().editing.sketch.blocks)
    state.change(replace(state.current().editing.sketch, blocks=blocks))
    with st.container(horizontal=True, key="stack_foot"):
        _add_step(words, facts)
        presets(words, known=facts is not None)
    _left_out(words)


def _left_out(words: Words) -> None:
    """What another package brought and can't be used: told where its methods would be found."""
    for broken in left_out():
        st.warning(
            words("recipe.left_out", name=escaped(broken.name), package=broken.package, reason=escaped(broken.reason))
        )


def _block(block: Block, words: Words, limits: dict[str, float]) -> Block:
    name = block.step.name
    with st.container(border=True, key=f"{block.place}.block"):
        with st.container(horizontal=True, vertical_alignment="center", key=f"{block.place}.head"):
            key = f"{block.place}.on"
            st.session_state.setdefault(key, block.on)
            on = st.toggle(
                words(f"kind.{block.step.kind}"), key=key, help=words(f"kind.{block.step.kind}.help"), width="stretch"
            )
            _block_menu(block, words)
        if not on:
            return replace(block, on=False)
        _method(block, words)
        st.caption(escaped(words.summary(name)))
        step = forms.form(block.place, name, block.step, words, limits)
    return replace(block, on=on, step=step)


def _method(block: Block, words: Words) -> None:
    """Which method of its kind does the step."""
    key = f"{block.place}.method"
    st.session_state[key] = block.step.name
    st.selectbox(
        words("step.method"),
        options=_methods_of(block.step.kind),
        format_func=words.short_title,
        key=key,
        help=escaped(block.step.paper),
        on_change=lambda: state.replace_sketch(
            state.current().editing.sketch.with_method(block.place, st.session_state[key])
        ),
        label_visibility="collapsed",
    )


def _block_menu(block: Block, words: Words) -> None:
    """Order, a copy, removal: seldom needed, so folded away."""
    sketch = state.current().editing.sketch
    with st.popover(words("step.menu"), type="tertiary", key=f"{block.place}.menu"):
        for name, edited in {
            "earlier": sketch.moved(block.place, -1),
            "later": sketch.moved(block.place, 1),
            "duplicate": sketch.duplicated(block.place),
            "remove": sketch.removed(block.place),
        }.items():
            st.button(
                words(f"step.{name}"),
                key=f"{block.place}.{name}",
                type="tertiary",
                disabled=edited == sketch,
                on_click=state.replace_sketch,
                args=(edited,),
            )


def _add_step(words: Words, facts: ModelFacts | None) -> None:
    """The kind first, then its methods, each with what it does: a list of all would be a wall."""
    with st.popover(words("step.add"), type="tertiary", key="add_step"):
        kind = st.segmented_control(
            words("step.kind"),
            options=KINDS,
            format_func=lambda kind: words(f"kind.{kind}"),
            default=KINDS[0],
            key="add_kind",
            required=True,
            width="stretch",
            label_visibility="collapsed",
        )
        st.caption(words(f"kind.{kind}.help"))
        for name in _methods_of(kind):
            st.button(
                f"**{words.title(name)}**  \n{escaped(words.summary(name))}",
                key=f"add.{name}",
                help=escaped(METHODS[name].paper),
                width="stretch",
                disabled=facts is not None and facts.task not in METHODS[name].tasks,
                on_click=lambda name=name: state.replace_sketch(state.current().editing.sketch.added(name)),
            )


def _methods_of(kind: Kind) -> list[str]:
    return [name for name, method in METHODS.items() if method.kind == kind]
