"""Texts side by side that appear word by word; the first word that differs from the first pane's is marked.

A word that is pointed at, or reached with the arrow keys, tells how likely it was; written texts can be replayed as a
race against the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import streamlit as st
from compresslab_dashboard.components import static
from compresslab_dashboard.components.window import first_to_send
from compresslab_dashboard.session.job_view import Moment
from compresslab_dashboard.texts import Words

PaneState = Literal["empty", "waiting", "writing", "done", "failed"]
_WORDS = ("empty", "waiting", "writing", "done", "failed", "differs", "weights", "same", "race")

_component = st.components.v2.component("compresslab.text_panes", js=static.loader("text_panes"))


@dataclass(frozen=True)
class PaneView:
    """One pane. `tokens` are (token id, text) in the order they were written; panes are aligned by that order.

    `facts` are short texts for its foot: speed, time to first token. The others are compared with the first pane.
    `stream` names the generation: another one clears the pane.
    """

    label: str
    role: Literal["baseline", "compressed", ""]  # none where nobody shall know
    state: PaneState
    tokens: Sequence[tuple[int, str]] = ()
    moments: Sequence[Moment] = ()  # of the tokens
    differs: Sequence[tuple[int, int]] = ()  # letters from and to: words that the first text does not have there
    color: str = ""  # in place of its role's
    weights_hash: str = ""
    facts: tuple[str, ...] = ()
    simulated: bool = False
    stream: str = ""
    start: int = 0  # place of the first of `tokens` in the whole; set when only the rest is sent


def text_panes(
    key: str, panes: Sequence[PaneView], words: Words, height: int = 300, prompt: str = "", race: int = 0
) -> None:
    """Every pane is `height` pixels high; `prompt` stands before each text in a quieter tone.

    A `race` of a new number replays the texts in the time that they took, slowed down where that was too short to see.
    Words: `kernel.simulated` and `pane.` with those above.
    """
    starts = first_to_send(key, "|".join(pane.stream for pane in panes), [len(pane.tokens) for pane in panes])
    sent = [
        replace(pane, tokens=pane.tokens[at:], moments=pane.moments[at:], start=at)
        for pane, at in zip(panes, starts, strict=True)
    ]
    data: dict[str, Any] = {
        "panes": [asdict(pane) for pane in sent],
        "prompt": prompt,
        "height": height,
        "race": race,
        "words": {name: words(f"pane.{name}") for name in _WORDS} | {"simulated": words("kernel.simulated")},
    }
    _component(key=key, data=data, height="content", on_whole_change=lambda: None)
