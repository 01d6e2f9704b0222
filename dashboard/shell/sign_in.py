"""Signing in, where the server asks for it: core/sign_in.py says whether it does, Streamlit's OIDC does it."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.work import sign_in
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import language
from compresslab_dashboard.texts import Words, escaped
from streamlit.errors import StreamlitAuthError

STYLE = Path(__file__).resolve().parent.parent / "styles" / "sign_in.css"
PROVIDER_SECONDS = 5.0
# The provider sends everybody back to the front page: the browser remembers where they wanted to go. An address of
# another server is never followed.
_KEEP = '<script>sessionStorage.setItem("compresslab.wanted", location.href)</script>'
_GO_ON = """<script>
const wanted = sessionStorage.getItem("compresslab.wanted");
sessionStorage.removeItem("compresslab.wanted");
if (wanted && new URL(wanted).origin === location.origin && wanted !== location.href) location.replace(wanted);
</script>"""


def required(words: Words) -> None:
    """End the rerun here, with a way to sign in, for a visitor who has not."""
    try:
        if not sign_in.is_required():
            return
        if st.user.get("is_logged_in"):
            st.html(_GO_ON, unsafe_allow_javascript=True)
            _note_name()
            return
        _door(words)
    except BadInput:  # the launcher would have refused to start: the file was changed since
        _door(words, words("sign_in.unset"))
    st.stop()


def _note_name() -> None:
    """For whoever looks at what they asked for."""
    visitor = state.visitor()
    if st.session_state.get("noted") != visitor.name:
        st.session_state["noted"] = visitor.name
        with suppress(CompresslabError):  # two windows of one person that open at once
            state.workspace().store.people.note(visitor.owner, visitor.name)


def leave(words: Words) -> None:
    """Who one is, and a way to sign out, for those who had to sign in."""
    if st.user.get("is_logged_in"):
        visitor = state.visitor()
        said = words("sign_in.admin" if visitor.admin else "sign_in.who", name=visitor.name)
        st.caption(escaped(said), help=escaped(words("sign_in.id", id=visitor.owner)))
        st.button(words("sign_in.leave"), key="sign_out", type="tertiary", on_click=st.logout)


def _door(words: Words, problem: str = "") -> None:
    st.html(STYLE)
    st.html(_KEEP, unsafe_allow_javascript=True)
    with st.container(key="sign_in"):
        with st.container(key="sign_in_product"):
            st.markdown("compresslab")
        st.title(words("sign_in.product"), anchor=False)
        st.markdown(words("sign_in.why"))
        if not problem and st.button(words("sign_in.go"), key="sign_in_go", type="primary"):
            problem = _sign_in(words)
        if problem:
            st.error(problem)
        language.switch()


def _sign_in(words: Words) -> str:
    """Off to the provider; else why not."""
    try:
        with urllib.request.urlopen(sign_in.metadata_url(), timeout=PROVIDER_SECONDS):
            st.login()
    except (urllib.error.URLError, OSError, ValueError):
        return words("sign_in.silent")
    except StreamlitAuthError:
        return words("sign_in.unset")
    return ""
