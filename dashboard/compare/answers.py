"""One prompt, up to six answers: the same seed and decoding for everyone, each written alone; and the race."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab.recipes.generation_request import GenerateRequest
from compresslab.store import JobRow
from compresslab_dashboard.answers.panes import pane_facts, pane_state
from compresslab_dashboard.answers.prompt_row import prompt_row
from compresslab_dashboard.answers.word_diff import differing
from compresslab_dashboard.charts.style import BASELINE as GREY
from compresslab_dashboard.charts.style import COMPRESSED, FURTHER
from compresslab_dashboard.compare.asking import ask
from compresslab_dashboard.compare.comparing import Comparing
from compresslab_dashboard.compare.members import Member
from compresslab_dashboard.components.text_panes import PaneView, text_panes
from compresslab_dashboard.jobs import live
from compresslab_dashboard.jobs.progress import queue_text
from compresslab_dashboard.session import state
from compresslab_dashboard.session.job_view import PaneText
from compresslab_dashboard.texts import Words, escaped

HEIGHTS = {2: 500, 3: 500}  # pixels, by the number of panes
HEIGHT = 260  # of more than those: two rows


def answers(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    prompt_row(
        "compare_",
        lambda: ask(members, [session.prompt]),
        words,
        help=words("compare.generate.help"),
        beside=lambda: _race_button(words),
    )
    open_ = live.is_open(session, state.own(Comparing).texts)
    st.fragment(_panes, run_every=live.TEXT_POLL_SECONDS if open_ else None, key="compare_fragment")(members)


def _race_button(words: Words) -> None:
    job = state.current().watched.ended.get(state.own(Comparing).texts or 0)
    done = job is not None and job.state == "done"
    st.button(
        words("compare.race"), key="compare_race", help=words("compare.race.help"), disabled=not done, on_click=_race
    )


def _race() -> None:
    state.own(Comparing).race += 1


# -- the panes -------------------------------------------------------------------------------------------------


def _panes(members: Sequence[Member]) -> None:
    session, words = state.current(), state.words()
    number = state.own(Comparing).texts
    under_way = live.is_open(session, number)
    job = live.generation(number)
    prompt = str(job.payload["request"]["prompt"]) if job else session.prompt
    height = HEIGHTS.get(len(members), HEIGHT)
    text_panes("compare_panes", _views(members, job, words), words, height, prompt, race=state.own(Comparing).race)
    with st.container(key="compare_status"):
        st.caption(escaped(_status(job, words)))
    if under_way and not live.is_open(session, number):
        st.rerun()


def _views(members: Sequence[Member], job: JobRow | None, words: Words) -> list[PaneView]:
    if job is None:
        return [PaneView(m.name, m.variant, "empty", color=m.color) for m in members]
    request = GenerateRequest.model_validate(job.payload["request"])
    panes = state.current().watched.view(job.id).panes
    colors = pane_colors(request)
    texts = [panes.get(place, PaneText()) for place in range(len(request.panes))]
    return [
        PaneView(
            label=request.panes[place].label,
            role="baseline" if request.panes[place].source == "baseline" else "compressed",
            state=pane_state(pane, job),
            tokens=pane.tokens,
            moments=pane.moments,
            differs=differing_letters(texts[0], pane) if place else (),
            color=colors[place],
            weights_hash=pane.started.weights_hash if pane.started else "",
            facts=pane_facts(pane, words),
            simulated=pane.done is not None and pane.done.kernel == "simulated",
            stream=str(job.id),
        )
        for place, pane in enumerate(texts)
    ]


def pane_colors(request: GenerateRequest) -> list[str]:
    """As the members have them: baselines grey, runs one after the other from the palette."""
    colors = iter((COMPRESSED, *FURTHER))
    return [GREY if pane.source == "baseline" else next(colors) for pane in request.panes]


def differing_letters(first: PaneText, other: PaneText) -> tuple[tuple[int, int], ...]:
    """Ranges of the other text that say something else; none before both are whole."""
    if first.done is None or other.done is None:
        return ()
    at, found = 0, []
    for piece in differing(first.done.text, "".join(text for _, text in other.tokens)):
        if piece.differs:
            found.append((at, at + len(piece.text)))
        at += len(piece.text)
    return tuple(found)


def _status(job: JobRow | None, words: Words) -> str:
    if job is None:
        return words("compare.hint")
    if job.state == "queued":
        return queue_text(job.id, words)
    if job.state == "failed":
        return words("texts.failed", reason=words.said(job.error))
    if job.state == "cancelled":
        return words("texts.cancelled")
    return words("compare.read") if job.over else "\u00a0"
