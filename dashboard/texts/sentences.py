"""What core says, in another language. Core speaks English alone: its sentences are known again by their shape.

A catalogue maps the English of a sentence, with {} for each value in it, to the other language, which may take the
values in another order: "There is no {} {}." -> "没有名为 {1} 的{0}。" What stands in a hole is looked up as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter

REMEMBERED = 2048  # texts: a page of a thousand runs asks for the same few again and again
_REMARKS = ((r"(?<=\.) (?=\S)", " "), ("; ", "; "), (": ", ": "))  # what parts them, and its name among the joints
_LIST = re.compile(r", | and | or ")


class Catalogue:
    """`said(text)` in the other language, piece by piece; what is not known stays as it is."""

    def __init__(self, entries: Mapping[str, str], joints: Mapping[str, str]) -> None:
        """`joints`: what stands between parts in English, ", " or " and ", and in the other language."""
        shapes = [_Shape(_literals(english), other) for english, other in entries.items()]
        self._whole = {shape.literals[0]: shape.other.format() for shape in shapes if len(shape.literals) == 1}
        holed = [shape for shape in shapes if len(shape.literals) > 1]
        self._shapes = sorted(holed, key=lambda shape: -len("".join(shape.literals)))  # what says more comes first
        self._joints = joints
        self.said = lru_cache(REMEMBERED)(self._said)

    def _said(self, text: str) -> str:
        found = (self._in_parts(text, between, joint) for between, joint in _REMARKS)
        return self._known(text) or next((said for said in found if said), text)

    def _in_parts(self, text: str, between: str, joint: str, *, every: bool = False) -> str | None:
        """Of several remarks each that is known; None where none is, or with `every` where one is not."""
        parts = re.split(between, text)
        found = [self._known(part) for part in parts] if len(parts) > 1 else []
        if not any(found) or (every and not all(found)):
            return None
        return self._joints[joint].join(other or part for other, part in zip(found, parts, strict=True))

    def _known(self, text: str) -> str | None:
        whole = self._whole.get(text) or self._whole.get(text.capitalize())  # which core sets in mid-sentence
        return whole or self._in_parts(text, "; ", "; ", every=True) or self._shaped(text) or self._list(text)

    def _shaped(self, text: str) -> str | None:
        for shape in self._shapes:
            values = shape.values(text)
            if values is not None:
                return shape.other.format(*(self._known(value) or value for value in values))
        return None

    def _list(self, text: str) -> str | None:
        """ "a, b and c", where each part is a name without spaces or is known."""
        for joint in _LIST.finditer(text):  # one of them may belong to a part itself
            head, tail = text[: joint.start()], text[joint.end() :]
            first = self._known(head) or _name(head)
            rest = first and (self._known(tail) or _name(tail))
            if first and rest:
                return first + self._joints[joint[0]] + rest
        return None


class _Shape:
    """One sentence with holes."""

    def __init__(self, literals: list[str], other: str) -> None:
        self.literals, self.other = literals, other
        self._longest = max(literals, key=len)
        self._pattern = re.compile("(.*?)".join(re.escape(literal) for literal in literals), re.DOTALL)

    def values(self, text: str) -> tuple[str, ...] | None:
        """What stands in the holes; None for another sentence."""
        if self._longest not in text:  # quick, and true of nearly all
            return None
        found = self._pattern.fullmatch(text)
        return None if found is None else found.groups()


def _literals(template: str) -> list[str]:
    """What stands around the holes: one piece more than there are holes."""
    pieces = [""]
    for literal, hole, _, _ in Formatter().parse(template):
        pieces[-1] += literal
        if hole is not None:
            pieces.append("")
    return pieces


def _name(text: str) -> str | None:
    return text if text and " " not in text else None
