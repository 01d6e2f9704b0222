"""What the browser already has of a growing list, so that only the rest travels."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

OVERLAP = 24  # sent again each time: more than one message brings, so that a lost one costs nothing


def first_to_send(key: str, stream: str, counts: list[int]) -> list[int]:
    """Where each list begins that the component `key` is sent.

    0, the whole, for a new stream, when the component asks for it, and in every full run of the page, which may have
    mounted it anew.
    """
    memory: dict[str, tuple[str, list[int]]] = st.session_state.setdefault("_windows", {})
    known, sent = memory.get(key, ("", []))
    memory[key] = (stream, counts)
    asked: Any = st.session_state.get(key)
    if _full_run() or known != stream or len(sent) != len(counts) or (asked and asked.get("whole")):
        return [0] * len(counts)
    return [max(0, min(before, now) - OVERLAP) for before, now in zip(sent, counts, strict=True)]


def _full_run() -> bool:
    context = get_script_run_ctx(suppress_warning=True)
    return context is None or not context.fragment_ids_this_run
