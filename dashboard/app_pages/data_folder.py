"""What lies where in the data folder, when it goes by itself, and how to clean up: a part of the Models page."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.files.logs import LONGEST
from compresslab.files.paths import home
from compresslab.store.retention import EVENTS_DAYS, JOBS_DAYS, LIVE_DAYS
from compresslab.work.holdings import Holding
from compresslab.work.leftovers import Leftovers
from compresslab.work.visitors import refusal_of_machine
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats


def data_folder(words: Words) -> None:
    """Looked at when somebody asks: many runs are many files."""
    st.subheader(words("data.title"))
    if not st.toggle(words("data.show"), key="data_folder"):
        return
    workspace, refusal = state.workspace(), refusal_of_machine(state.visitor())
    try:
        found, left = workspace.holdings(), workspace.clean()
        room = formats.file_size(workspace.statistics.room())
    except CompresslabError as error:
        st.error(escaped(words.said(error.message)))
        return
    if refusal is None:
        st.caption(escaped(words("data.place", folder=home())))
    stays: dict[str, dict[str, object]] = {
        "statistics": {"room": room},
        "logs": {"size": formats.file_size(LONGEST)},
        "store": {"events": EVENTS_DAYS, "live": LIVE_DAYS, "jobs": JOBS_DAYS},
    }
    for held in found:
        _line(held, words(f"data.{held.kind}.stays", **stays.get(held.kind, {})), words)
    _left(left, words)
    if refusal is not None:
        st.caption(escaped(words.said(refusal)))
        return
    with st.container(horizontal=True, key="data_actions"):
        _action("clean", not (left.parts or left.old.jobs or left.old.events), words)
        _action("clear_statistics", not any(held.kind == "statistics" and held.count for held in found), words)


def _line(held: Holding, stays: str, words: Words) -> None:
    with st.container(gap=None, key=f"data.{held.kind}"):
        _head(held.kind, held.count, held.bytes, words)
        since = ""
        if held.oldest is not None and held.newest is not None:
            since = words("data.changed", oldest=_day(held.oldest), newest=_day(held.newest))
        st.caption(escaped(" ".join(filter(None, [since, stays]))))


def _head(kind: str, count: int, size: int, words: Words) -> None:
    said = words("data.head", name=words(f"data.{kind}"), count=count, size=formats.file_size(size))
    st.markdown(f"**{escaped(said)}**")


def _left(left: Leftovers, words: Words) -> None:
    with st.container(gap=None, key="data.leftovers"):
        _head("leftovers", len(left.parts), left.bytes, words)
        st.caption(words("data.leftovers.stays", jobs=left.old.jobs, events=left.old.events))


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _action(name: str, nothing: bool, words: Words) -> None:
    """Asked once more, for it can't be undone."""
    with st.popover(words(f"data.{name}"), key=f"{name}_menu", disabled=nothing):
        st.markdown(words(f"data.{name}.sure"))
        st.button(words("models.delete.yes"), key=f"{name}_yes", on_click=_do, args=(name,))


def _do(name: str) -> None:
    session, workspace, visitor = state.current(), state.workspace(), state.visitor()
    session.problem = ""
    try:
        if name == "clean":
            workspace.clean(only_look=False, by=visitor)
        else:
            workspace.statistics.clear(by=visitor)
    except CompresslabError as error:
        session.problem = error.message
