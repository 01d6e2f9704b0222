"""The language that a visitor reads: what the link says, else what their browser asks for; and the switch."""

from __future__ import annotations

import streamlit as st
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import LANGUAGES


def switch() -> None:
    st.session_state.setdefault("language", state.current().language)
    st.segmented_control(
        state.words()("language"),
        options=list(LANGUAGES),
        format_func=lambda language: LANGUAGES[language],
        key="language",
        required=True,
        label_visibility="collapsed",
        on_change=_take,
    )


def _take() -> None:
    state.current().language = st.session_state["language"] or state.current().language
