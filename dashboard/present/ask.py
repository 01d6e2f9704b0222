"""A question of one's own: both models answer it now, word by word, if anyone is there to compute."""

from __future__ import annotations

from typing import Literal

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.store import JobRow
from compresslab_dashboard.components.text_panes import PaneState, PaneView, text_panes
from compresslab_dashboard.jobs import live
from compresslab_dashboard.present.ladder import ANSWER, pane_of
from compresslab_dashboard.present.prepared import Prepared
from compresslab_dashboard.present.view import Showing
from compresslab_dashboard.session import state
from compresslab_dashboard.session.job_view import PaneText
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped, formats

LONGEST = 2000  # letters of a question
HEIGHT = 330
ROLES: tuple[Literal["baseline", "compressed"], ...] = ("baseline", "compressed")


def ask_panel(showing: Showing, prepared: Prepared, stop: int, words: Words) -> None:
    here = frame.any_worker()
    with st.container(key="ask", horizontal=True, vertical_alignment="bottom"):
        st.session_state.setdefault("present_question", showing.question)
        showing.question = st.text_input(
            words("present.ask"),
            key="present_question",
            placeholder=words("present.ask.placeholder"),
            max_chars=LONGEST,
            label_visibility="collapsed",
        )
        if st.button(words("present.ask.go"), key="present_ask", type="primary", disabled=not here):
            _ask(showing, prepared, stop)
            st.rerun()
    if not here:
        st.caption(words("present.ask.alone"))
    _answers(showing, words)


def waits(showing: Showing) -> bool:
    """An answer is still being written."""
    return showing.mode == "ask" and live.is_open(state.current(), showing.asked)


def _ask(showing: Showing, prepared: Prepared, stop: int) -> None:
    session = state.current()
    if not showing.question.strip():
        session.problem = state.words()("present.ask.empty")
        return
    baseline = Pane(label="baseline", source="baseline", model=prepared.model)
    panes = (baseline, pane_of(prepared.records[stop - 1])) if stop else (baseline,)
    request = GenerateRequest(prompt=showing.question, panes=panes, decoding=ANSWER)
    try:
        showing.asked = state.workspace().texts.submit(request, owner=session.owner)
    except CompresslabError as error:
        session.problem = error.message


def _answers(showing: Showing, words: Words) -> None:
    job = live.generation(showing.asked)
    asked = str(job.payload["request"]["prompt"]) if job else ""
    text_panes("present_answers", _views(job, words), words, height=HEIGHT, prompt=asked)
    if job is not None and job.state == "failed":
        st.error(escaped(words("texts.failed", reason=words.said(job.error))))


def _views(job: JobRow | None, words: Words) -> list[PaneView]:
    names = (words("present.stage.baseline"), words("present.stage.small"))
    if job is None:
        return [PaneView(name, role, "empty") for name, role in zip(names, ROLES, strict=True)]
    asked = len(job.payload["request"]["panes"])
    written = state.current().watched.view(job.id).panes
    panes = [written.get(place, PaneText()) for place in range(asked)]
    return [
        PaneView(name, role, _state(pane, job), tokens=pane.tokens, facts=_took(pane, words), stream=str(job.id))
        for name, role, pane in zip(names, ROLES, panes, strict=False)
    ]


def _took(pane: PaneText, words: Words) -> tuple[str, ...]:
    """How long it wrote, each model alone."""
    if pane.done is None or not pane.done.decode_tokens_per_second:
        return ()
    seconds = pane.done.ttft_seconds + (pane.done.tokens - 1) / pane.done.decode_tokens_per_second
    return (words("present.ask.took", time=formats.duration(seconds, words.language)),)


def _state(pane: PaneText, job: JobRow) -> PaneState:
    if pane.done is not None:
        return "done"
    if job.over:
        return "failed"
    return "writing" if pane.started else "waiting"
