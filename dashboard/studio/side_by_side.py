"""One prompt, two answers: baseline and compressed model write word by word from the same seed, each alone."""

from __future__ import annotations

from typing import Literal

import streamlit as st
from compresslab.recipes.generation_request import GenerateRequest
from compresslab.store import JobRow
from compresslab_dashboard.answers.panes import pane_facts, pane_state, writes
from compresslab_dashboard.answers.prompt_row import prompt_row
from compresslab_dashboard.components.text_panes import PaneView, text_panes
from compresslab_dashboard.jobs import actions, live
from compresslab_dashboard.jobs.progress import queue_text
from compresslab_dashboard.session import state
from compresslab_dashboard.session.job_view import PaneText
from compresslab_dashboard.session.state import State
from compresslab_dashboard.texts import Words, escaped

ROLES: tuple[Literal["baseline"], Literal["compressed"]] = ("baseline", "compressed")
PANES_HEIGHT = 230


def side_by_side() -> None:
    words = state.words()
    session = state.current()
    if not writes(session.recipe.model):
        st.caption(words("texts.not_a_writer"))
        return
    prompt_row("", actions.generate, words, help=words("texts.generate.help"))
    every = live.pace(_watched(session), live.TEXT_POLL_SECONDS)
    st.fragment(_panes, run_every=every, key="panes")(every)


# -- the answers -----------------------------------------------------------------------------------------------


def _watched(session: State) -> list[int]:
    return [session.texts] if session.texts is not None and live.is_open(session, session.texts) else []


def _panes(every: float | None) -> None:
    session = state.current()
    words = state.words()
    before = _watched(session)
    job = live.generation(session.texts)
    text_panes("answers", _views(session, job, words), words, height=PANES_HEIGHT, prompt=_asked(job, session))
    with st.container(key="texts_status"):
        st.caption(escaped(_status(session, job, words)))
    if _watched(session) != before or live.turn_has_come(before, every, live.TEXT_POLL_SECONDS):
        st.rerun()


def _asked(job: JobRow | None, session: State) -> str:
    """The prompt that the texts continue, which may not be the one in the box any more."""
    return str(job.payload["request"]["prompt"]) if job is not None else session.prompt


def _views(session: State, job: JobRow | None, words: Words) -> list[PaneView]:
    if job is None:
        return [PaneView(words(f"pane.{role}"), role, "empty") for role in ROLES]
    request = GenerateRequest.model_validate(job.payload["request"])
    panes = session.watched.view(job.id).panes
    return [_view(i, panes.get(i, PaneText()), job, words) for i in range(len(request.panes))]


def _view(place: int, pane: PaneText, job: JobRow, words: Words) -> PaneView:
    role = ROLES[min(place, 1)]
    return PaneView(
        label=words(f"pane.{role}"),
        role=role,
        state=pane_state(pane, job),
        tokens=pane.tokens,
        moments=pane.moments,
        weights_hash=pane.started.weights_hash if pane.started else "",
        facts=pane_facts(pane, words),
        simulated=pane.done is not None and pane.done.kernel == "simulated",
        stream=str(job.id),
    )


def _status(session: State, job: JobRow | None, words: Words) -> str:
    if job is None:
        return words("texts.hint")
    if job.state == "queued":
        return queue_text(job.id, words)
    if job.state == "failed":
        return words("texts.failed", reason=words.said(job.error))
    if job.state == "cancelled":
        return words("texts.cancelled")
    if job.over and session.texts_of and session.texts_of != state.version_of(session.recipe):
        return words("texts.stale")
    return "\u00a0"
