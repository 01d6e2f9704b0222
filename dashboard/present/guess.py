"""Which is which? Two recorded answers without names, in an order that only the page knows; the room votes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from html import escape

import streamlit as st

from core.errors import CompresslabError
from core.results import RunSummary
from core.store.votes import Choice, Tally
from dashboard import state
from dashboard.components.stage import Prompt
from dashboard.present.prepared import Prepared
from dashboard.present.view import Showing
from dashboard.texts import Words

ENOUGH = 5  # decided votes from which on an interval says something
KEYS: dict[str, str] = {"A": "Left", "B": "Right", "same": "Up", "bad": "Down"}


def guess_panel(showing: Showing, prepared: Prepared, stop: int, words: Words) -> None:
    if stop == 0:
        st.info(words("present.guess.choose"))
        return
    record = prepared.records[stop - 1]
    asked = [prompt for prompt in prepared.prompts if _differ(prompt, stop)]
    if not asked:
        st.info(words("present.guess.alike" if prepared.prompts else "present.unwritten"))
        return
    prompt = asked[showing.round % len(asked)]
    order = shuffled(state.current().owner, record.run_id, showing.round)
    texts = [_text(prompt, 0), _text(prompt, stop)]
    with st.container(key="guess"):
        st.html(_panes_html(prompt.prompt, [texts[i] for i in order], _names(order, showing.voted, words)))
        with st.container(key="ballot", horizontal=True, horizontal_alignment="center"):
            if showing.voted:
                st.button(
                    words("present.guess.next"), key="next_pair", type="primary", shortcut="Right", on_click=_next
                )
            else:
                _ballot(record, prompt.prompt, order, words)
        tally = state.workspace().store.votes.tally(record.baseline_hash, record.compressed_hash)
        st.caption(tally_text(tally, words) if showing.voted else words("present.guess.how"))


def shuffled(owner: str, run_id: str, turn: int) -> list[int]:
    """[0, 1] or [1, 0]: the order of baseline and small model, the same whenever this round is drawn."""
    order = [0, 1]
    random.Random(f"{owner}.{run_id}.{turn}").shuffle(order)
    return order


def choice_of(button: str, order: Sequence[int]) -> Choice:
    """What a button means: the first is the baseline, the second the small model."""
    both: dict[str, Choice] = {"same": "same", "bad": "bad"}
    return both.get(button) or ("first" if order["AB".index(button)] == 0 else "second")


def tally_text(tally: Tally, words: Words) -> str:
    said = words(
        "present.guess.tally", big=tally.first, small=tally.second, same=tally.same, bad=tally.bad, asked=tally.asked
    )
    if tally.decided < ENOUGH:
        return said
    low, _, high = tally.share()
    return f"{said} {words('present.guess.sure', low=round(100 * low), high=round(100 * high))}"


def _ballot(record: RunSummary, prompt: str, order: Sequence[int], words: Words) -> None:
    for name, key in KEYS.items():
        st.button(
            words(f"present.guess.{name.lower()}"),
            key=f"vote_{name}",
            shortcut=key,
            on_click=_vote,
            args=(record.baseline_hash, record.compressed_hash, prompt, choice_of(name, order)),
        )


def _vote(first: str, second: str, prompt: str, choice: Choice) -> None:
    session = state.current()
    if session.showing.voted:
        return  # a second press of the key before the page was drawn anew
    try:
        state.workspace().store.votes.add(first, second, prompt, choice, session.owner)
    except CompresslabError as error:
        session.problem = str(error)
        return
    session.showing.voted = True


def _next() -> None:
    showing = state.current().showing
    showing.round, showing.voted = showing.round + 1, False


def _differ(prompt: Prompt, stop: int) -> bool:
    pieces = prompt.texts[stop]
    return pieces is not None and any(piece.differs for piece in pieces)


def _text(prompt: Prompt, stop: int) -> str:
    return "".join(piece.text for piece in prompt.texts[stop] or ())


def _names(order: Sequence[int], told: bool, words: Words) -> list[tuple[str, str]]:
    """Heading and role of each pane; no role, which would give it a colour, before the vote."""
    roles = ("baseline", "small")
    if not told:
        return [("A", ""), ("B", "")]
    return [
        (f"{letter}: {words(f'present.stage.{roles[i]}')}", roles[i]) for letter, i in zip("AB", order, strict=True)
    ]


def _panes_html(prompt: str, texts: Sequence[str], names: Sequence[tuple[str, str]]) -> str:
    """As the verdict is drawn: everything in it is escaped."""
    panes = "".join(
        f'<section class="pane {role}"><h3>{escape(name)}</h3><p dir="auto">{escape(text)}</p></section>'
        for text, (name, role) in zip(texts, names, strict=True)
    )
    return f'<div class="guess"><p class="asked" dir="auto">{escape(prompt)}</p><div class="pair">{panes}</div></div>'
