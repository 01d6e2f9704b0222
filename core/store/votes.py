"""Blind tests: which of two texts people found better, by the content hashes of the weights that wrote them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from compresslab.errors import BadInput
from compresslab.store.database import Database
from compresslab.store.tables import VOTES
from sqlalchemy import func, insert, select

Choice = Literal["first", "second", "same", "bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
CERTAINTY = 1.959964  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Tally:
    """How often each was chosen. `same` and `bad` (both) decide nothing."""

    first: int = 0
    second: int = 0
    same: int = 0
    bad: int = 0

    @property
    def decided(self) -> int:
        return self.first + self.second

    @property
    def asked(self) -> int:
        return self.decided + self.same + self.bad

    def share(self) -> tuple[float, float, float]:
        """Low end, value, high end: of the decided votes those for `first`, with 95 % certainty."""
        return wilson(self.first, self.decided)


def wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """A share and its 95 % interval; all of 0 to 1 before the first trial.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22.
    """
    if trials == 0:
        return 0.0, 0.5, 1.0
    share, square = hits / trials, CERTAINTY**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = CERTAINTY / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    return max(0.0, middle - half), share, min(1.0, middle + half)


class VoteStore:
    """Votes in the store, for pairs in either order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, first: str, second: str, prompt: str, choice: Choice, owner: str = "") -> None:
        """Raises BadInput where there is nothing to choose between."""
        if choice not in CHOICES:
            raise BadInput(f"A vote is one of {', '.join(CHOICES)}, not {choice!r}.")
        if first == second:
            raise BadInput("Both texts are by the same weights; there is nothing to choose between.")
        row = {"first": first, "second": second, "prompt": prompt, "choice": choice, "owner": owner}
        with self._database.write() as connection:
            connection.execute(insert(VOTES).values(created=self._database.now, **row))

    def tally(self, first: str, second: str) -> Tally:
        """All votes on this pair, whichever of the two was named first."""
        there, back = self._counts(first, second), self._counts(second, first)
        return Tally(
            first=there["first"] + back["second"],
            second=there["second"] + back["first"],
            same=there["same"] + back["same"],
            bad=there["bad"] + back["bad"],
        )

    def _counts(self, first: str, second: str) -> dict[str, int]:
        query = (
            select(VOTES.c.choice, func.count().label("votes"))
            .where(VOTES.c.first == first, VOTES.c.second == second)
            .group_by(VOTES.c.choice)
        )
        with self._database.read() as connection:
            found: dict[str, int] = {row.choice: row.votes for row in connection.execute(query)}
        return dict.fromkeys(CHOICES, 0) | found
