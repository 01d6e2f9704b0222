"""The dashboard's entry: theme and navigation. Start it with `compresslab dashboard`."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

import streamlit as st
from compresslab_dashboard.app_pages.listed import PAGES
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import gate, sign_in

HERE = Path(__file__).with_name("styles")
STYLES = tuple(HERE / f"{name}.css" for name in ("style", "pages", "compare"))
OF_LANGUAGE = {"zh": HERE / "streamlit_zh.css"}  # for what Streamlit says in English alone
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
    words = state.words()
    for style in (*STYLES, OF_LANGUAGE.get(words.language)):
        if style is not None:
            st.html(style)
    sign_in.required(words)
    gate.let_in()
    pages = {page.name: page.listed(words, first=page is PAGES[0]) for page in PAGES}
    state.keep_pages(pages)
    st.navigation(list(pages.values()), position="top").run()


main()
