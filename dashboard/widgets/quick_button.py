"""A button that answers the click at once, and acts when the page is drawn anew.

The click draws nothing but the button, which says that it was heard. Only the whole page reads what was typed a moment
before, so what was asked for is done there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

PAINT_SECONDS = 0.05  # runs that follow each other at once are drawn as one, and the first would never be seen


def quick_button(
    label: str, heard: str, act: Callable[[], None], *, key: str, help: str, wide: bool = False, disabled: bool = False
) -> None:
    """`heard` takes the place of the label from the click until `act` has been called."""
    clicked = f"{key}_clicked"
    if st.session_state.pop(clicked, False):
        act()
    st.fragment(_button, key=f"{key}_button")(label, heard, key, clicked, help, wide, disabled)


def _button(label: str, heard: str, key: str, clicked: str, help: str, wide: bool, disabled: bool) -> None:
    waits = clicked in st.session_state
    st.button(
        heard if waits else label,
        key=key,
        type="primary",
        width="stretch" if wide else "content",
        help=help,
        disabled=disabled or waits,
        on_click=_remember,
        args=(clicked,),
    )
    if waits:
        time.sleep(PAINT_SECONDS)
        st.rerun()


def _remember(clicked: str) -> None:
    st.session_state[clicked] = True
