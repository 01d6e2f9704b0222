"""What every page has around it: the language at the foot of the sidebar, and what stands in the way."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.files.paths import is_shared
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import language, sign_in
from compresslab_dashboard.texts import Words, escaped


def foot() -> None:
    """The language, at the foot of the sidebar."""
    with st.sidebar.container(key="foot"):
        language.switch()
        sign_in.leave(state.words())
        _open_to_all(state.words())


def below() -> None:
    """The same below a page without a sidebar."""
    with st.container(key="foot_below", horizontal=True, vertical_alignment="center"):
        language.switch()
        sign_in.leave(state.words())
    _open_to_all(state.words())


def _open_to_all(words: Words) -> None:
    """What people who come in without a name may see and do here."""
    if is_shared() and not st.user.get("is_logged_in"):
        st.caption(words("server.open"))


def notices() -> None:
    """What stands in the way, with the way out: no worker, or something asked for that could not be done."""
    if not any_worker():
        st.warning(state.words()("worker.missing"))
    if state.current().problem:
        st.error(escaped(state.words().said(state.current().problem)))


def any_worker() -> bool:
    try:
        return bool(state.workspace().jobs.workers())
    except CompresslabError:
        return False
