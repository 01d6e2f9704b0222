"""What is kept on disk so that a moved slider need not measure again, and the way to be rid of it."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.work.visitors import refusal_of_machine
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats


def kept(words: Words) -> None:
    """Folded away: one line for each text that a model was measured on."""
    with st.expander(words("kept"), key="kept"):
        entries = state.workspace().statistics.entries()
        st.caption(words("kept.help"))
        for entry in entries:
            shown = {"model": escaped(entry.model), "text": escaped(words.said(entry.text))}
            size = formats.file_size(entry.bytes)
            st.caption(words("kept.entry", **shown, samples=entry.samples, length=entry.sequence_length, size=size))
        if not entries:
            st.caption(words("kept.nothing"))
        if not entries or refusal_of_machine(state.visitor()) is not None:
            return
        total = formats.file_size(sum(entry.bytes for entry in entries))
        with st.popover(words("kept.clear", size=total), key="clear_kept", width="stretch"):
            st.markdown(words("kept.sure"))
            st.button(words("kept.clear.yes"), key="clear_kept_yes", type="primary", on_click=_clear)


def _clear() -> None:
    try:
        state.workspace().statistics.clear(by=state.visitor())
    except CompresslabError as error:
        state.current().problem = error.message
