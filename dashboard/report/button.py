"""The button that hands out a report; the runs are read and the file is made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab_dashboard.report.page import file_name
from compresslab_dashboard.report.writing import make
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words


def report_button(run_ids: Sequence[str], words: Words, *, disabled: bool = False) -> None:
    workspace, language = state.workspace(), words.language
    st.download_button(
        words("report.download"),
        data=lambda: make(workspace, [workspace.runs.find(run_id) for run_id in run_ids], language).encode(),
        file_name=file_name(run_ids),
        mime="text/html",
        key="report",
        help=words("report.download.help"),
        disabled=disabled,
        on_click="ignore",
    )
