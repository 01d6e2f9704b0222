"""Which of two answers without names is better: in which order they stand, and what a vote means. No Streamlit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from compresslab.store.votes import Choice

ENOUGH = 5  # decided votes from which on an interval says something
BUTTONS: dict[str, str] = {"A": "Left", "B": "Right", "same": "Up", "bad": "Down"}  # and the key that presses each


@dataclass(frozen=True)
class Pair:
    """Content hashes of the weights that answered, and what they were asked."""

    first: str
    second: str
    prompt: str


@dataclass
class Turn:
    """A session's place in a blind test."""

    number: int = 0
    voted: bool = False

    def next(self) -> None:
        self.number, self.voted = self.number + 1, False


def shuffled(*names: object) -> list[int]:
    """[0, 1] or [1, 0]: always the same for the same names, so that a pair that is drawn again stays as it was."""
    order = [0, 1]
    random.Random(".".join(map(str, names))).shuffle(order)
    return order


def choice_of(button: str, order: Sequence[int]) -> Choice:
    both: dict[str, Choice] = {"same": "same", "bad": "bad"}
    return both.get(button) or ("first" if order["AB".index(button)] == 0 else "second")
