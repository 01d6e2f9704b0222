"""Where there is nothing to show yet: measure five sizes, then have their answers written down."""

from __future__ import annotations

import streamlit as st

from core.errors import CompresslabError
from dashboard import formats, frame, live, state
from dashboard.present import ladder
from dashboard.present.prepared import Prepared, writes
from dashboard.present.view import Showing
from dashboard.texts import Words, escaped

FEW = 3  # sizes: a slider with fewer shows little


def empty(prepared: Prepared, words: Words) -> None:
    """The one action that fills the page."""
    with st.container(border=True, key="present_empty", horizontal_alignment="center"):
        st.markdown(f"### {words('present.empty')}")
        st.markdown(words("present.empty.how", model=escaped(prepared.model)))
        _measure_button(prepared.model, words)
        if not frame.any_worker():
            st.caption(words("present.empty.alone"))


def _measure_button(model: str, words: Words) -> None:
    st.button(
        words("present.measure"),
        key="measure_sizes",
        type="primary",
        disabled=not frame.any_worker(),
        on_click=_measure,
        args=(model,),
    )


def _measure(model: str) -> None:
    session = state.current()
    session.problem, session.showing.preparing = "", True
    try:
        ladder.start(state.workspace(), model, session.owner)
    except CompresslabError as error:
        session.problem, session.showing.preparing = str(error), False


# -- while it is under way -------------------------------------------------------------------------------------


def progress(showing: Showing, prepared: Prepared, words: Words) -> None:
    """What is being prepared, whoever asked for it. Sizes that are measured have their answers written next."""
    workspace = state.workspace()
    try:
        jobs = ladder.under_way(workspace, prepared.model)
        showing.preparing |= any(job.kind == "run" for job in jobs)
        _read_again_at_the_end(showing, bool(jobs))
        if not jobs and showing.preparing:
            showing.preparing = False
            if writes(workspace, prepared.model):
                ladder.record_answers(workspace, prepared.records, prepared.written, state.current().owner)
            jobs = ladder.under_way(workspace, prepared.model)
    except CompresslabError as error:
        state.current().problem = str(error)
        return
    if jobs:
        showing.watching = True
        st.fragment(_bar, run_every=live.SLOW_POLL_SECONDS, key="preparing")(prepared.model, len(jobs), words)
    elif prepared.sizes and frame.any_worker():
        _offer(prepared, words)


def _read_again_at_the_end(showing: Showing, under_way: bool) -> None:
    """The last one may have ended after the page had read the store, and before it looked for what is under way."""
    if showing.watching and not under_way:
        showing.watching = False
        st.rerun()


def _bar(model: str, before: int, words: Words) -> None:
    jobs = ladder.under_way(state.workspace(), model)
    if len(jobs) != before:
        st.rerun()
    session = state.current()
    first = next((job for job in jobs if job.state == "running"), jobs[0])
    live.pull(first.id)
    told = session.view(first.id).progress
    text = words("present.writing" if first.kind == "generate" else "present.measuring", left=len(jobs))
    left = formats.seconds_left(told.seconds_left if told else None, words.language)
    with st.container(horizontal=True, vertical_alignment="center", key="preparing_bar"):
        st.progress(min(1.0, told.fraction) if told else 0.0, text=" · ".join(filter(None, [text, left])))
        if any(job.owner == session.owner for job in jobs):
            st.button(words("job.stop"), key="stop_preparing", on_click=_stop, args=(model,))


def _stop(model: str) -> None:
    """Only what this session asked for."""
    session = state.current()
    session.showing.preparing = False
    for job in ladder.under_way(state.workspace(), model):
        if job.owner == session.owner:
            state.workspace().cancel(job.id)


def _offer(prepared: Prepared, words: Words) -> None:
    """What would make more of the page: more sizes, else the answers that are missing."""
    few = len(prepared.sizes) < FEW
    if not few and not (prepared.lacking and writes(state.workspace(), prepared.model)):
        return
    with st.container(horizontal=True, vertical_alignment="center", key="offer"):
        st.caption(words("present.few" if few else "present.unwritten"), width="stretch")
        if few:
            _measure_button(prepared.model, words)
        else:
            st.button(words("present.write"), key="write_answers", on_click=_write)


def _write() -> None:
    state.current().showing.preparing = True  # nothing is left to measure: the page goes on to the answers
