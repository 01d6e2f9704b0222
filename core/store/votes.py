"""Blind tests: which of two texts people found better, by the content hashes of the weights that wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from compresslab.errors import BadInput
from compresslab.records.wilson import wilson
from compresslab.store.database import Database
from compresslab.store.tables import VOTES
from sqlalchemy import func, insert, select

Choice = Literal["first", "second", "same", "bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


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
        low, high = wilson(self.first, self.decided)
        return low, self.first / self.decided if self.decided else 0.5, high


class VoteStore:
    """Votes in the store, for pairs in either order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, first: str, second: str, prompt: str, choice: Choice, owner: str = "") -> None:
        """Raises BadInput where there is nothing to choose between."""
        if choice not in CHOICES:
            raise BadInput("vote.unknown", choices=list(CHOICES), given=choice)
        if first == second:
            raise BadInput("vote.same_weights")
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
