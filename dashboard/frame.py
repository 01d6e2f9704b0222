"""What every page has around it: the language at the foot of the sidebar, and what stands in the way."""

from __future__ import annotations

import streamlit as st

from core.errors import CompresslabError
from dashboard import sign_in, state
from dashboard.texts import LANGUAGES, escaped


def foot() -> None:
    """The language, at the foot of the sidebar."""
    with st.sidebar.container(key="foot"):
        language()
        sign_in.leave(state.words())


def language() -> None:
    """For a page without a sidebar."""
    st.session_state.setdefault("language", state.current().language)
    st.segmented_control(
        state.words()("language"),
        options=list(LANGUAGES),
        format_func=lambda language: LANGUAGES[language],
        key="language",
        required=True,
        label_visibility="collapsed",
        on_change=_take_language,
    )


def _take_language() -> None:
    state.current().language = st.session_state["language"] or state.current().language


def notices() -> None:
    """What stands in the way, with the way out: no worker, or something asked for that could not be done."""
    if not any_worker():
        st.warning(state.words()("worker.missing"))
    if state.current().problem:
        st.error(escaped(state.current().problem))


def any_worker() -> bool:
    try:
        return bool(state.workspace().workers())
    except CompresslabError:
        return False
