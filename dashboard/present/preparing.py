"""Where there is nothing to show yet: measure five sizes, then have their answers written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from compresslab.data.texts import example_prompts
from compresslab.errors import CompresslabError
from compresslab.records.events import Progress
from compresslab.store import JobRow
from compresslab_dashboard.jobs import live
from compresslab_dashboard.present import ladder
from compresslab_dashboard.present.prepared import Prepared, writes
from compresslab_dashboard.present.view import Showing
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped, formats
from streamlit.delta_generator import DeltaGenerator

FEW = 3  # sizes: a slider with fewer shows little


def empty(prepared: Prepared, words: Words) -> None:
    """The one action that fills the page."""
    with _card(prepared, words):
        _measure_button(prepared.model, words)
        if not frame.any_worker():
            st.caption(words("present.empty.alone"))


def _card(prepared: Prepared, words: Words) -> DeltaGenerator:
    """In the middle of an empty page: what it will show. What can be done, or is under way, goes below."""
    card = st.container(border=True, key="present_empty", horizontal_alignment="center")
    card.markdown(f"### {words('present.empty')}")
    card.markdown(words("present.empty.how", model=escaped(prepared.model)))
    return card


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
    session.problem, state.own(Showing).preparing = "", True
    try:
        ladder.start(state.workspace(), model, state.visitor().owner)
    except CompresslabError as error:
        session.problem, state.own(Showing).preparing = error.message, False


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
            _go_on(prepared, words)
            jobs = ladder.under_way(workspace, prepared.model)
    except CompresslabError as error:
        state.current().problem = error.message
        return
    if jobs:
        showing.watching = True
        with st.container(key="at_top") if prepared.sizes else _card(prepared, words):
            st.fragment(_bar, run_every=live.SLOW_POLL_SECONDS, key="preparing")(prepared, len(jobs), words)
    elif prepared.sizes and frame.any_worker():
        _offer(prepared, words)


def _go_on(prepared: Prepared, words: Words) -> None:
    """From the sizes to their answers; without a single size, to the reason."""
    workspace, session = state.workspace(), state.current()
    reason = None if prepared.sizes else ladder.why_none(workspace, prepared.model)
    if reason is not None:
        session.problem = words("present.none", reason=words.said(reason))
    elif writes(workspace, prepared.model):
        ladder.record_answers(workspace, prepared.records, prepared.written, state.visitor().owner)


def _read_again_at_the_end(showing: Showing, under_way: bool) -> None:
    """The last one may have ended after the page had read the store, and before it looked for what is under way."""
    if showing.watching and not under_way:
        showing.watching = False
        st.rerun()


def _bar(prepared: Prepared, before: int, words: Words) -> None:
    jobs = ladder.under_way(state.workspace(), prepared.model)
    if len(jobs) != before:
        st.rerun()
    session = state.current()
    first = next((job for job in jobs if job.state == "running"), jobs[0])
    live.pull(first.id)
    told = session.watched.view(first.id).progress
    step = stretch(jobs, first.kind)
    text = words("present.writing" if first.kind == "generate" else "present.measuring", at=step.at, of=step.of)
    left = formats.seconds_left(_seconds_left(told, prepared, step), words.language)
    with st.container(horizontal=True, vertical_alignment="center", key="preparing_bar"):
        st.progress(step.fraction(told.fraction if told else 0.0), text=" · ".join(filter(None, [text, left])))
        mine = state.visitor().owner
        if any(job.owner == mine for job in jobs):
            st.button(words("job.stop"), key="stop_preparing", on_click=_stop, args=(prepared.model,))


@dataclass(frozen=True)
class Stretch:
    """Number `at` of `of` things alike is under way."""

    at: int
    of: int

    def fraction(self, of_this_one: float) -> float:
        return min(1.0, (self.at - 1 + min(1.0, of_this_one)) / self.of)


def stretch(jobs: Sequence[JobRow], kind: str) -> Stretch:
    """How far the sizes are, or the answers: what is not open any more is done."""
    to_go = sum(job.kind == kind for job in jobs)
    of = max(to_go, len(example_prompts()) if kind == "generate" else ladder.RUNGS)
    return Stretch(of - to_go + 1, of)


def _seconds_left(told: Progress | None, prepared: Prepared, step: Stretch) -> float | None:
    """Of all sizes, once one of them says how long they take; None where nobody can know."""
    took = [record.seconds for record in prepared.records]
    if told is None or told.seconds_left is None or not took:
        return None
    return told.seconds_left + (step.of - step.at) * sum(took) / len(took)


def _stop(model: str) -> None:
    """Only what this visitor asked for."""
    visitor = state.visitor()
    state.own(Showing).preparing = False
    for job in ladder.under_way(state.workspace(), model):
        if job.owner == visitor.owner:
            state.workspace().jobs.cancel(job.id, by=visitor)


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
    state.own(Showing).preparing = True  # nothing is left to measure: the page goes on to the answers
