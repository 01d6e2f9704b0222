"""One prompt, up to six answers: the same seed and decoding for everyone, each written alone; and the race."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.generation_request import GenerateRequest
from core.store import JobRow
from core.texts import example_prompts
from dashboard import forms, live, state
from dashboard.chart_style import BASELINE as GREY
from dashboard.chart_style import COMPRESSED, FURTHER
from dashboard.compare.asking import ask, job_of
from dashboard.compare.members import Member
from dashboard.components.text_panes import PaneView, text_panes
from dashboard.job_view import PaneText
from dashboard.studio.progress import queue_text
from dashboard.studio.side_by_side import pane_facts, pane_state
from dashboard.texts import Words, escaped
from dashboard.word_diff import differing

HEIGHTS = {2: 500, 3: 500}  # pixels, by the number of panes
HEIGHT = 260  # of more than those: two rows
PROMPT_HEIGHT = 68


def answers(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    _prompt_row(members, words)
    open_ = live.is_open(session, session.comparing.texts)
    st.fragment(_panes, run_every=live.TEXT_POLL_SECONDS if open_ else None, key="compare_fragment")(members)


def _prompt_row(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    st.session_state.setdefault("compare_prompt", session.prompt)
    with st.container(key="compare_prompt_row"):
        prompt, controls = st.columns([5, 4], vertical_alignment="center")
        session.prompt = prompt.text_area(
            words("texts.prompt"),
            key="compare_prompt",
            height=PROMPT_HEIGHT,
            placeholder=words("texts.prompt.placeholder"),
            label_visibility="collapsed",
        )
        with controls.container(horizontal=True, vertical_alignment="center"):
            _controls(members, words)


def _controls(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    st.selectbox(
        words("texts.examples"),
        options=range(len(example_prompts())),
        format_func=lambda place: example_prompts()[place]["label"],
        index=None,
        key="compare_example",
        placeholder=words("texts.examples"),
        label_visibility="collapsed",
        on_change=_take_example,
    )
    with st.popover(words("texts.decoding"), key="compare_decoding"):
        session.decoding = forms.form("compare_decoding", "decoding", session.decoding, words)
    if st.button(words("texts.generate"), key="compare_generate", type="primary", help=words("compare.generate.help")):
        ask(members, [session.prompt])
        st.rerun()
    done = session.comparing.texts in session.ended
    st.button(
        words("compare.race"), key="compare_race", help=words("compare.race.help"), disabled=not done, on_click=_race
    )


def _take_example() -> None:
    place = st.session_state["compare_example"]
    if place is not None:
        st.session_state["compare_prompt"] = state.current().prompt = example_prompts()[place]["prompt"]


def _race() -> None:
    state.current().comparing.race += 1


# -- the panes -------------------------------------------------------------------------------------------------


def _panes(members: Sequence[Member]) -> None:
    session, words = state.current(), state.words()
    number = session.comparing.texts
    under_way = live.is_open(session, number)
    job = job_of(number)
    prompt = str(job.payload["request"]["prompt"]) if job else session.prompt
    height = HEIGHTS.get(len(members), HEIGHT)
    text_panes("compare_panes", _views(members, job, words), words, height, prompt, race=session.comparing.race)
    with st.container(key="compare_status"):
        st.caption(escaped(_status(job, words)))
    if under_way and not live.is_open(session, number):
        st.rerun()


def _views(members: Sequence[Member], job: JobRow | None, words: Words) -> list[PaneView]:
    if job is None:
        return [PaneView(m.name, m.variant, "empty", color=m.color) for m in members]
    request = GenerateRequest.model_validate(job.payload["request"])
    panes = state.current().view(job.id).panes
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
        return words("texts.failed", reason=job.error or "")
    if job.state == "cancelled":
        return words("texts.cancelled")
    return words("compare.read") if job.over else "\u00a0"
