"""The dashboard's entry: theme and navigation. Start it with `compresslab dashboard`."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

import streamlit as st

from dashboard import state
from dashboard.app_pages import history, studio

STYLES = (Path(__file__).with_name("style.css"), Path(__file__).with_name("pages.css"))
SIDEBAR_WIDTH = 320  # pixels


@st.cache_resource(show_spinner=False)
def _freeze() -> None:
    """Streamlit collects garbage after every rerun; what is imported by now need not be looked at each time."""
    for late in ("pandas", "pyarrow"):  # Streamlit imports them with the first table
        importlib.import_module(late)
    gc.collect()
    gc.freeze()


def main() -> None:
    st.set_page_config(page_title="compresslab", layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    _freeze()
    for style in STYLES:
        st.html(style)
    words = state.words()
    pages = {
        "studio": st.Page(studio.page, title=words("page.studio"), url_path="studio", default=True),
        "history": st.Page(history.page, title=words("page.history"), url_path="history"),
    }
    state.keep_pages(pages)
    st.navigation(list(pages.values()), position="top").run()


main()
