"""Where one text departs from another, word by word. No Streamlit."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

_WORDS = re.compile(r"\s*\S+|\s+$")


class Piece(NamedTuple):
    """Some words in a row; `differs` where the first text says something else in their place."""

    text: str
    differs: bool


def differing(first: str, other: str) -> list[Piece]:
    """The other text in pieces, in order: joined they are the text."""
    old, new = _WORDS.findall(first), _WORDS.findall(other)
    matcher = SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=False)
    pieces: list[Piece] = []
    for kind, _, _, start, end in matcher.get_opcodes():
        said = "".join(new[start:end])
        word = said.lstrip()
        space = said[: len(said) - len(word)]  # the space before a word that differs does not differ
        pieces += [Piece(space, False), Piece(word, True)] if kind != "equal" else [Piece(said, False)]
    return [piece for piece in pieces if piece.text]
