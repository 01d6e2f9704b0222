"""A section folded away, drawn only while it is open: what nobody sees need not be sent and drawn at every move.

Whoever draws a closed section forgets its widgets' values: what they stand for may change before it is opened again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def section(label: str, *, key: str) -> Iterator[bool]:
    """What is drawn in it belongs below `if` what it yields: whether it is open."""
    with st.expander(label, key=key, on_change="rerun") as inside:
        yield bool(inside.open)
