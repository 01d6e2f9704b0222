"""The ballot under two answers without names: four buttons that vote, then one that goes on. Arrow keys press them.

A press is meant for the turn that was on the screen, which may be over by the time it is heard: it then does nothing.
Draw the ballot before the answers that stand above it: who sees their names can go on at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.store.votes import Choice
from compresslab_dashboard.answers.blind_test import BUTTONS, Pair, Turn, choice_of
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words


def ballot(turn: Turn, pair: Pair, order: Sequence[int], words: Words, *, key: str, said: str) -> None:
    """`said` is where the words of the buttons are, for example "compare.blind"."""
    with st.container(key=f"{key}_ballot", horizontal=True, horizontal_alignment="center"):
        if turn.voted:
            st.button(
                words(f"{said}.next"),
                key=f"{key}_next",
                type="primary",
                shortcut="Right",
                on_click=_go_on,
                args=(turn, turn.number),
            )
            return
        for name, pressed_by in BUTTONS.items():
            st.button(
                words(f"{said}.{name.lower()}"),
                key=f"{key}_vote_{name}",
                shortcut=pressed_by,
                on_click=_vote,
                args=(turn, turn.number, pair, choice_of(name, order)),
            )


def _vote(turn: Turn, number: int, pair: Pair, choice: Choice) -> None:
    if turn.number != number or turn.voted:
        return
    session = state.current()
    try:
        state.workspace().votes.add(pair.first, pair.second, pair.prompt, choice, session.owner)
    except CompresslabError as error:
        session.problem = error.message
        return
    turn.voted = True


def _go_on(turn: Turn, number: int) -> None:
    if turn.number == number and turn.voted:
        turn.next()
