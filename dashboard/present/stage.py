"""What a room sees: one slider, three pictures with a sentence each, two answers; arrow keys move it.

All sizes and answers are in the browser from the start, so that a moved slider answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import streamlit as st
from compresslab_dashboard.answers.word_diff import Piece
from compresslab_dashboard.components import static
from compresslab_dashboard.present.plain import Plain
from compresslab_dashboard.texts import Words

Part = Literal["", "slider", "size", "answers", "speed", "panes"]
_WORDS = ("question", "baseline", "small", "untouched", "prompts")

_component = st.components.v2.component("compresslab.stage", js=static.loader("stage"))


@dataclass(frozen=True)
class Prompt:
    """What was asked, and what every stop of the slider answered; None where nothing is recorded."""

    label: str
    prompt: str
    texts: tuple[tuple[Piece, ...] | None, ...]


@dataclass(frozen=True)
class Place:
    """Where the stage stands. The browser takes it over when `command` is another; else it stays where it is."""

    stop: int
    prompt: int
    command: int


def stage(
    key: str,
    stops: Sequence[Plain],
    prompts: Sequence[Prompt],
    place: Place,
    words: Words,
    *,
    cards: bool = True,
    panes: bool = True,
    unwritten: str = "",
    highlight: Part = "",
    keys: bool = True,
    on_place: Callable[[], None],
) -> None:
    """`on_place` finds {stop, prompt} under `key`; without `keys` the arrows belong to someone else.
    `unwritten` stands where no answer is recorded."""
    data: dict[str, Any] = asdict(place) | {
        "stops": [asdict(stop) for stop in stops],
        "prompts": [asdict(prompt) for prompt in prompts],
        "cards": cards,
        "panes": panes,
        "highlight": highlight,
        "keys": keys,
        "words": {name: words(f"present.stage.{name}") for name in _WORDS} | {"unwritten": unwritten},
    }
    _component(key=key, data=data, height="content", on_place_change=on_place)
