"""Present: for people who are no engineers. One slider, what it does in three sentences, both answers, big."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.present import ask, guess, preparing, tour
from compresslab_dashboard.present.prepared import Prepared, prepare
from compresslab_dashboard.present.stage import Place, stage
from compresslab_dashboard.present.view import MODES, Showing
from compresslab_dashboard.session import address, state
from compresslab_dashboard.shell import frame, language
from compresslab_dashboard.texts import Words, escaped

STYLE = Path(__file__).resolve().parent.parent / "styles" / "present.css"
ASK_POLL_SECONDS = 0.3


def draw() -> None:
    st.html(STYLE)
    words = state.words()
    session = state.current()
    showing = state.own(Showing)
    prepared = prepare(state.workspace(), showing, words)
    _settle(showing, prepared)
    with st.container(key="present"):
        if session.problem:
            st.error(escaped(words.said(session.problem)))
        if prepared.sizes and not frame.any_worker():
            with st.container(key="alone"):
                st.caption(words("present.alone"), width="content")
        preparing.progress(showing, prepared, words)
        if prepared.sizes:
            every = ASK_POLL_SECONDS if ask.waits(showing) else None
            st.fragment(_show, run_every=every, key="show")(prepared)
        elif not (showing.preparing or showing.watching):
            preparing.empty(prepared, words)
    _foot(showing, prepared, words)
    tour.tour_card(showing, words)
    address.write(state.own(Showing).params())


def _take(params: Mapping[str, str]) -> None:
    state.own(Showing).take(params)


PAGE = Page("present", draw, _take)


def _settle(showing: Showing, prepared: Prepared) -> None:
    """What was asked for may not be there any more: the page then chooses."""
    showing.model = prepared.model
    tour.follow(showing, prepared)
    if prepared.sizes and showing.size not in prepared.ids:
        showing.go(prepared.ids[prepared.first_look])


# -- the stage and what stands below it ------------------------------------------------------------------------


def _show(prepared: Prepared) -> None:
    showing = state.own(Showing)
    words = state.words()
    waited = ask.waits(showing)
    stop = prepared.stop_of(showing.size)
    stage(
        "stage",
        prepared.stops,
        prepared.prompts if showing.mode == "read" else [],
        Place(stop, showing.prompt, showing.command),
        words,
        cards=showing.mode != "guess",
        panes=showing.mode == "read" and (bool(prepared.prompts) or showing.preparing),
        unwritten=words("present.stage.later" if showing.preparing else "present.stage.unwritten"),
        highlight=tour.lit(showing),
        keys=showing.tour is None and showing.mode != "guess",
        on_place=lambda: _take_place(prepared),
    )
    if showing.mode == "ask":
        ask.ask_panel(showing, prepared, stop, words)
    elif showing.mode == "guess":
        guess.guess_panel(showing, prepared, stop, words)
    address.write(state.own(Showing).params())
    if waited and not ask.waits(showing):
        st.rerun()


def _take_place(prepared: Prepared) -> None:
    """The browser has moved already; the server only remembers."""
    place = st.session_state["stage"].place
    showing = state.own(Showing)
    if place and 0 <= place["stop"] < len(prepared.ids):
        showing.size, showing.prompt = prepared.ids[place["stop"]], max(0, int(place["prompt"]))
        showing.turn.voted = False


# -- the foot --------------------------------------------------------------------------------------------------


def _foot(showing: Showing, prepared: Prepared, words: Words) -> None:
    with st.container(key="present_foot", horizontal=True, vertical_alignment="center"):
        if prepared.sizes:
            _modes(showing, words)
            st.button(words("present.tour"), key="tour_start", on_click=tour.start, disabled=showing.tour is not None)
        if len(prepared.models) > 1:
            st.session_state["present_model"] = prepared.model
            st.selectbox(
                words("model"),
                options=prepared.models,
                key="present_model",
                label_visibility="collapsed",
                width=220,
                on_change=_take_model,
            )
        moves = prepared.sizes and showing.mode != "guess"
        st.caption(words("present.keys") if moves else "", width="stretch")
        language.switch()


def _modes(showing: Showing, words: Words) -> None:
    st.session_state["present_mode"] = showing.mode
    st.segmented_control(
        words("present.mode"),
        options=MODES,
        format_func=lambda mode: words(f"present.mode.{mode}"),
        key="present_mode",
        required=True,
        label_visibility="collapsed",
        on_change=_take_mode,
    )


def _take_mode() -> None:
    showing = state.own(Showing)
    showing.mode = st.session_state["present_mode"] or showing.mode
    showing.tour, showing.turn.voted = None, False


def _take_model() -> None:
    showing = state.own(Showing)
    showing.model, showing.size = st.session_state["present_model"], ""
