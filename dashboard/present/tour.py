"""A guided tour of five steps: a card at the foot of the screen says one thing, and lights what it is about."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from compresslab_dashboard.present.prepared import Prepared
from compresslab_dashboard.present.stage import Part
from compresslab_dashboard.present.view import Showing
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words


@dataclass(frozen=True)
class Step:
    """What is lit, and where the slider goes: the baseline, the size of the first look, or the smallest."""

    name: str
    highlight: Part
    stop: str


STEPS = (
    Step("whole", "panes", "whole"),
    Step("smaller", "size", "good"),
    Step("cost", "answers", "smallest"),
    Step("read", "panes", "smallest"),
    Step("yours", "slider", "good"),
)


def start() -> None:
    state.own(Showing).mode = st.session_state["present_mode"] = "read"
    _to(0)


def lit(showing: Showing) -> Part:
    return "" if showing.tour is None else STEPS[showing.tour].highlight


def tour_card(showing: Showing, words: Words) -> None:
    """Arrow keys go on and back, Escape ends it."""
    if showing.tour is None:
        return
    at = showing.tour
    last = at == len(STEPS) - 1
    with st.container(key="tour_above" if STEPS[at].highlight == "panes" else "tour_below"):
        told = st.container()  # filled last: who sees the step can go on at once
        with st.container(horizontal=True, horizontal_alignment="right"):
            st.button(words("present.tour.end"), key="tour_end", type="tertiary", shortcut="Escape", on_click=_end)
            st.button(
                words("present.tour.back"),
                key="tour_back",
                shortcut="Left",
                disabled=at == 0,
                on_click=_go,
                args=(-1,),
            )
            st.button(
                words("present.tour.done" if last else "present.tour.next"),
                key="tour_next",
                type="primary",
                shortcut="Right",
                on_click=_end if last else _go,
                args=() if last else (1,),
            )
        told.caption(words("present.tour.step", step=at + 1, steps=len(STEPS)))
        told.markdown(words(f"present.tour.{STEPS[at].name}"))


def follow(showing: Showing, prepared: Prepared) -> None:
    """The slider goes where the step wants it, once for every step."""
    if showing.tour is not None and showing.toured != showing.tour:
        stops = {"whole": 0, "good": prepared.first_look, "smallest": len(prepared.sizes)}
        showing.go(prepared.ids[stops[STEPS[showing.tour].stop]])
        showing.toured = showing.tour


def _go(steps: int) -> None:
    """From where the tour is now: a second press in a hurry comes from a page drawn before the first was heard."""
    showing = state.own(Showing)
    if showing.tour is not None:
        _to(min(max(showing.tour + steps, 0), len(STEPS) - 1))


def _to(step: int) -> None:
    showing = state.own(Showing)
    showing.tour, showing.toured = step, None


def _end() -> None:
    showing = state.own(Showing)
    showing.tour = showing.toured = None
