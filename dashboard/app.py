"""The dashboard's entry: theme and navigation. Start it with `compresslab dashboard`."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

import streamlit as st
from compresslab_dashboard.pages import compare, explore, history, layers, models, present, studio
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import sign_in

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
    pages = {
        "studio": st.Page(studio.page, title=words("page.studio"), url_path="studio", default=True),
        "compare": st.Page(compare.page, title=words("page.compare"), url_path="compare"),
        "explore": st.Page(explore.page, title=words("page.explore"), url_path="explore"),
        "layers": st.Page(layers.page, title=words("page.layers"), url_path="layers"),
        "history": st.Page(history.page, title=words("page.history"), url_path="history"),
        "models": st.Page(models.page, title=words("page.models"), url_path="models"),
        "present": st.Page(present.page, title=words("page.present"), url_path="present"),
    }
    state.keep_pages(pages)
    st.navigation(list(pages.values()), position="top").run()


main()
