"""What a page is: one file in this folder, and one line in the list of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st
from compresslab_dashboard.session import address
from compresslab_dashboard.texts import Words


@dataclass(frozen=True)
class Page:
    """`name` is its path; its title is `page.<name>` of the texts, or else the name. `draw` draws it from what the
    session remembers and writes the address; `take` first puts there what an address says that came from outside: a
    link, a reload, the back button. What a page of its own must remember, it keeps by `state.own`."""

    name: str
    draw: Callable[[], None]
    take: Callable[[Mapping[str, str]], None]

    def show(self) -> None:
        params = address.news()
        if params is not None:
            self.take(params)
        self.draw()

    def listed(self, words: Words, *, first: bool) -> st.Page:
        """For `st.navigation`; the first is what the bare address opens."""
        title = words.known(f"page.{self.name}", self.name.capitalize())
        return st.Page(self.show, title=title, url_path=self.name, default=first)
