"""The button that hands out a report; the file is made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.results import RunRecord
from dashboard import report, state
from dashboard.texts import Words


def report_button(records: Sequence[RunRecord], words: Words, *, disabled: bool = False) -> None:
    workspace, language = state.workspace(), words.language
    st.download_button(
        words("report.download"),
        data=lambda: report.make(workspace, records, language).encode(),
        file_name=report.file_name(records),
        mime="text/html",
        key="report",
        help=words("report.download.help"),
        disabled=disabled,
        on_click="ignore",
    )
