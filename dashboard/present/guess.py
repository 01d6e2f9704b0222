"""Which is which? Two recorded answers without names, in an order that only the page knows; the room votes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st
from compresslab.store.votes import Tally
from compresslab_dashboard.answers.ballot import ballot
from compresslab_dashboard.answers.blind_test import ENOUGH, Pair, shuffled
from compresslab_dashboard.present.prepared import Prepared
from compresslab_dashboard.present.stage import Prompt
from compresslab_dashboard.present.view import Showing
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words


def guess_panel(showing: Showing, prepared: Prepared, stop: int, words: Words) -> None:
    if stop == 0:
        st.info(words("present.guess.choose"))
        return
    record = prepared.records[stop - 1]
    asked = [prompt for prompt in prepared.prompts if _differ(prompt, stop)]
    if not asked:
        st.info(words("present.guess.alike" if prepared.prompts else "present.unwritten"))
        return
    turn = showing.turn
    prompt = asked[turn.number % len(asked)]
    order = shuffled(state.current().owner, record.run_id, turn.number)
    pair = Pair(record.baseline_hash, record.compressed_hash, prompt.prompt)
    texts = [_text(prompt, 0), _text(prompt, stop)]
    with st.container(key="guess"):
        panes = st.container(key="guess_panes")
        ballot(turn, pair, order, words, key="guess", said="present.guess")
        panes.html(_panes_html(prompt.prompt, [texts[i] for i in order], _names(order, turn.voted, words)))
        tally = state.workspace().votes.tally(pair.first, pair.second)
        st.caption(tally_text(tally, words) if turn.voted else words("present.guess.how"))


def tally_text(tally: Tally, words: Words) -> str:
    said = words(
        "present.guess.tally", big=tally.first, small=tally.second, same=tally.same, bad=tally.bad, asked=tally.asked
    )
    if tally.decided < ENOUGH:
        return said
    low, _, high = tally.share()
    return f"{said} {words('present.guess.sure', low=round(100 * low), high=round(100 * high))}"


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
