"""One of a few options side by side, that comes back as it was left: Streamlit forgets what other pages do not draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option")


def one_of(
    label: str, options: Sequence[Option], chosen: Option, told: Callable[[Option], str], *, key: str, **look: Any
) -> Option:
    """What is chosen now; `chosen` is what the session remembers. `look` goes to Streamlit's segmented control."""
    st.session_state.setdefault(key, chosen)
    now: Option | None = st.segmented_control(label, options, format_func=told, key=key, required=True, **look)
    return chosen if now is None else now
