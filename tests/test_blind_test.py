"""Blind tests: who stands where, what a vote means, and that a press counts for the turn that was on the screen."""

from __future__ import annotations

from typing import Any

import pytest
from compresslab.store.votes import Tally
from compresslab.workspace import Workspace
from compresslab_dashboard.answers.blind_test import BUTTONS, Turn, choice_of, shuffled
from streamlit.testing.v1 import AppTest


def test_the_order_is_drawn_anew_for_every_turn_and_never_while_it_is_shown() -> None:
    orders = [shuffled("me", "run", turn) for turn in range(40)]
    assert orders == [shuffled("me", "run", turn) for turn in range(40)]
    assert 8 < sum(order == [0, 1] for order in orders) < 32


def test_a_button_means_what_stands_above_it() -> None:
    assert [choice_of(button, [0, 1]) for button in BUTTONS] == ["first", "second", "same", "bad"]
    assert [choice_of(button, [1, 0]) for button in BUTTONS] == ["second", "first", "same", "bad"]


@pytest.fixture
def app(own_home: Any) -> AppTest:
    app = AppTest.from_function(draw)
    app.session_state["turn"] = Turn()
    return app.run()


def draw() -> None:
    import streamlit as st
    from compresslab_dashboard.answers.ballot import ballot
    from compresslab_dashboard.answers.blind_test import Pair
    from compresslab_dashboard.session import state

    pair = Pair("aaaa1111", "small0001", "One day")
    ballot(st.session_state["turn"], pair, [0, 1], state.words(), key="test", said="compare.blind")


def votes() -> Tally:
    return Workspace().votes.tally("aaaa1111", "small0001")


def test_a_vote_is_kept_and_the_ballot_goes_on(app: AppTest) -> None:
    app.button(key="test_vote_A").click().run()
    assert votes() == Tally(first=1) and [button.key for button in app.button] == ["test_next"]
    app.button(key="test_next").click().run()
    assert app.session_state["turn"] == Turn(1) and len(app.button) == 4


def test_a_second_press_in_one_turn_votes_only_once(app: AppTest) -> None:
    app.session_state["turn"].voted = True  # the first was heard, the page is not drawn anew yet
    app.button(key="test_vote_B").click().run()
    assert votes() == Tally()


def test_a_press_that_comes_late_does_not_vote_on_a_pair_nobody_saw(app: AppTest) -> None:
    app.session_state["turn"].next()
    app.button(key="test_vote_B").click().run()
    assert votes() == Tally() and app.session_state["turn"] == Turn(1)


def test_a_second_press_on_next_skips_no_pair(app: AppTest) -> None:
    app.button(key="test_vote_A").click().run()
    app.session_state["turn"].next()
    app.button(key="test_next").click().run()
    assert app.session_state["turn"] == Turn(1)
