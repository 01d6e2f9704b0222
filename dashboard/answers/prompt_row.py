"""The row above answers: what is asked, the examples, how it is decoded, and Generate. On the Studio and on Compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st
from compresslab.data.texts import example_prompts
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words
from compresslab_dashboard.widgets.quick_button import quick_button

PROMPT_HEIGHT = 68  # two lines


def prompt_row(
    prefix: str, ask: Callable[[], None], words: Words, *, help: str, beside: Callable[[], None] | None = None
) -> None:
    """Keys of its widgets begin with `prefix`. `ask` puts the prompt into the queue; `beside` draws further buttons."""
    session = state.current()
    st.session_state.setdefault(f"{prefix}prompt", session.prompt)
    with st.container(key=f"{prefix}prompt_row"):
        prompt, controls = st.columns([5, 4 if beside else 3], vertical_alignment="center")
        session.prompt = prompt.text_area(
            words("texts.prompt"),
            key=f"{prefix}prompt",
            height=PROMPT_HEIGHT,
            placeholder=words("texts.prompt.placeholder"),
            label_visibility="collapsed",
        )
        with controls.container(horizontal=True, vertical_alignment="center"):
            _choices(prefix, words)
            quick_button(
                words("texts.generate"),
                words("texts.generate.heard"),
                partial(_ask, ask),
                key=f"{prefix}generate",
                help=help,
            )
            if beside:
                beside()


def _ask(ask: Callable[[], None]) -> None:
    ask()
    if state.current().problem:
        st.rerun()  # it is said above the row


def _choices(prefix: str, words: Words) -> None:
    session = state.current()
    st.selectbox(
        words("texts.examples"),
        options=range(len(example_prompts())),
        format_func=lambda place: example_prompts()[place]["label"],
        index=None,
        key=f"{prefix}example",
        placeholder=words("texts.examples"),
        label_visibility="collapsed",
        on_change=_take_example,
        args=(prefix,),
    )
    with st.popover(words("texts.decoding"), key=f"{prefix}decoding"):
        session.decoding = forms.form(f"{prefix}decoding", "decoding", session.decoding, words)


def _take_example(prefix: str) -> None:
    place = st.session_state[f"{prefix}example"]
    if place is not None:
        st.session_state[f"{prefix}prompt"] = state.current().prompt = example_prompts()[place]["prompt"]
