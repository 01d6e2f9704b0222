"""The button that stops a job: for whoever may, and once."""

from __future__ import annotations

from typing import Literal

import streamlit as st
from compresslab.store import JobRow
from compresslab_dashboard.jobs import actions
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped


def stop_button(job: JobRow, words: Words, *, key: str, width: Literal["content", "stretch"] = "content") -> None:
    """Of somebody else's job it says whose it is."""
    stopping = job.id in state.current().watched.stopping or job.cancel_reason is not None
    refusal = state.workspace().jobs.refusal(job, state.visitor())
    st.button(
        words("job.stopping" if stopping else "job.stop"),
        key=key,
        width=width,
        disabled=stopping or refusal is not None,
        help=escaped(words.said(refusal)) if refusal else None,
        on_click=actions.stop,
        args=(job.id,),
    )
