"""Which is better? Two written answers without names, in an order that nobody is told, and what the votes say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations

import pandas as pd
import streamlit as st
from compresslab.store.recorded_answers import RecordedAnswer
from compresslab.store.votes import Tally
from compresslab_dashboard.answers.ballot import ballot
from compresslab_dashboard.answers.blind_test import ENOUGH, Pair, shuffled
from compresslab_dashboard.compare.comparing import Comparing
from compresslab_dashboard.compare.members import Member
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words


@dataclass(frozen=True)
class Round:
    """Two different answers to one prompt, decoded alike; `first` and `second` as votes are kept."""

    prompt: str
    first: Member
    second: Member
    texts: tuple[str, str]

    @property
    def pair(self) -> Pair:
        return Pair(self.first.weights_hash, self.second.weights_hash, self.prompt)


def blind(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    hashes = [member.weights_hash for member in members if member.weights_hash]
    rounds = rounds_of(members, state.workspace().texts.recorded(hashes), session.owner)
    if not rounds:
        _nothing_yet(words)
        return
    turn = state.own(Comparing).turn
    one = rounds[turn.number % len(rounds)]
    order = shuffled(session.owner, one.first.key, one.second.key, one.prompt, turn.number)
    panes = st.container(key="compare_blind")
    ballot(turn, one.pair, order, words, key="compare", said="compare.blind")
    panes.html(_pair_html(one, order, turn.voted, words))
    # Nobody is told how it stands before the first vote: it would say which to look for.
    if turn.voted or turn.number:
        with st.container(key="compare_tally"):
            st.dataframe(tally_frame(members, words), hide_index=True)
    else:
        st.caption(words("compare.blind.how", pairs=len(rounds)))


def _nothing_yet(words: Words) -> None:
    with st.container(border=True, key="compare_no_pairs"):
        st.markdown(words("compare.blind.empty"))
        if st.button(words("compare.view.prompts"), key="compare_to_prompts", type="primary"):
            state.own(Comparing).view = "prompts"
            st.rerun()


def rounds_of(members: Sequence[Member], recorded: Sequence[RecordedAnswer], owner: str) -> list[Round]:
    """Every pair of different weights on every prompt that both answered, and not alike; shuffled for each session."""
    texts = {(a.prompt, a.decoding, a.weights_hash): a.text for a in recorded}
    asked = list(dict.fromkeys((a.prompt, a.decoding) for a in recorded))
    found: dict[tuple[str, str, str], Round] = {}
    for prompt, decoding in asked:
        for first, second in combinations(members, 2):
            mine = texts.get((prompt, decoding, first.weights_hash))
            other = texts.get((prompt, decoding, second.weights_hash))
            if mine is not None and other is not None and mine != other:
                key = (prompt, first.key, second.key)
                found.setdefault(key, Round(prompt, first, second, (mine, other)))
    rounds = [found[key] for key in sorted(found)]
    random.Random(owner).shuffle(rounds)
    return rounds


def tally_frame(members: Sequence[Member], words: Words) -> pd.DataFrame:
    """A row a pair that was voted on: everyone's votes on these weights."""
    votes = state.workspace().votes
    rows = []
    for first, second in combinations(members, 2):
        if first.weights_hash == second.weights_hash or not (first.weights_hash and second.weights_hash):
            continue
        tally = votes.tally(first.weights_hash, second.weights_hash)
        if tally.asked:
            rows.append(_tally_row(first, second, tally, words))
    names = ("first", "second", "wins", "losses", "same", "bad", "share")
    return pd.DataFrame(rows, columns=[words(f"compare.tally.{name}") for name in names])


def _tally_row(first: Member, second: Member, tally: Tally, words: Words) -> list[object]:
    low, share, high = tally.share()
    said = words("compare.tally.few", enough=ENOUGH)
    if tally.decided >= ENOUGH:
        said = words("compare.tally.sure", share=round(100 * share), low=round(100 * low), high=round(100 * high))
    return [first.name, second.name, tally.first, tally.second, tally.same, tally.bad, said]


def _pair_html(one: Round, order: Sequence[int], told: bool, words: Words) -> str:
    """Everything in it is escaped; no name and no colour before the vote."""
    members = (one.first, one.second)
    panes = ""
    for letter, place in zip("AB", order, strict=True):
        name = f"{letter}: {members[place].name}" if told else letter
        color = members[place].color if told else "var(--line)"
        panes += (
            f'<section class="blind-pane" style="border-top-color:{color}"><h3>{escape(name)}</h3>'
            f"<p>{escape(one.texts[place].strip())}</p></section>"
        )
    asked = f'<p class="blind-prompt">{escape(one.prompt)}</p>'
    return f'<div class="blind" aria-label="{escape(words("compare.view.blind"))}">{asked}<div>{panes}</div></div>'
