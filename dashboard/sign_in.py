"""Signing in, where the server asks for it: an [auth] section in Streamlit's secrets names an OIDC provider."""

from __future__ import annotations

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard.texts import Words


def required(words: Words) -> None:
    """End the rerun here, with a way to sign in, for a visitor who has not."""
    if not _configured() or st.user.get("is_logged_in"):
        return
    with st.container(key="sign_in", width=480):
        st.title(words("sign_in.title"))
        st.markdown(words("sign_in.why"))
        st.button(words("sign_in.go"), key="sign_in_go", type="primary", on_click=st.login)
    st.stop()


def leave(words: Words) -> None:
    """A way to sign out, for those who had to sign in."""
    if _configured():
        st.button(words("sign_in.leave"), key="sign_out", type="tertiary", on_click=st.logout)


def _configured() -> bool:
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False
