"""The address bar: what a reload, a link or the back button must bring back. Nothing else touches it.

Which parameters there are, every page says for itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import streamlit as st
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import LANGUAGES

SETTLING_SECONDS = 3.0  # a rerun asked for before the browser has seen the new URL still carries an older one


@dataclass
class AddressBar:
    """What was written into the address bar, so that what others write there is noticed."""

    last: dict[str, str] = field(default_factory=dict)
    before: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)  # when others took their place

    def news(self) -> dict[str, str] | None:
        """The URL's parameters where they are not this session's own; None where there is nothing to take over."""
        params = {key: st.query_params[key] for key in st.query_params}
        settling = time.monotonic() - self.before.get(tuple(sorted(params.items())), 0.0) < SETTLING_SECONDS
        if not params or params == self.last or settling:
            return None
        self.last = params
        return params

    def write(self, params: dict[str, str]) -> None:
        if dict(st.query_params) != params:
            self.before[tuple(sorted(self.last.items()))] = time.monotonic()
            self.last = params
            st.query_params.from_dict(params)


def address_bar() -> AddressBar:
    """This session's."""
    if "address_bar" not in st.session_state:
        st.session_state["address_bar"] = AddressBar()
    bar: AddressBar = st.session_state["address_bar"]
    return bar


def news() -> dict[str, str] | None:
    """As `AddressBar.news`, the language taken over."""
    params = address_bar().news()
    if params is not None and params.get("lang") in LANGUAGES:
        state.current().language = st.session_state["language"] = params["lang"]
    return params


def write(params: dict[str, str]) -> None:
    address_bar().write({"lang": state.current().language} | params)
