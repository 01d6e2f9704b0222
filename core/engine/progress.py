"""How far a job is: stages with a share each, their seconds, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from compresslab.records.events import Event, Progress

Report = Callable[[Event], None]
EVERY_SECONDS = 0.1
SURE_AFTER_SECONDS, SURE_AFTER_FRACTION = 1.0, 0.05  # before that nobody knows how long it will take


class Tracker:
    """Stages are begun one after the other; `shares` are their expected costs in any one unit."""

    def __init__(self, shares: dict[str, float], report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self._report = report
        self._shares = dict(shares)
        self._whole = sum(shares.values()) or 1.0
        self._finished = self._furthest = 0.0
        self._stage = ""
        self._begun = self._stage_begun = time.monotonic()
        self._told = 0.0

    def begin(self, stage: str) -> None:
        """The stage before has ended. A stage of the same name adds to its seconds."""
        self.end()
        self._stage, self._stage_begun = stage, time.monotonic()
        self.advance(0, 1, force=True)

    def extend(self, cost: float) -> float:
        """The stage at hand turns out to cost so much more; the share of it that this is, 0 to 1."""
        self._whole += cost
        share = self._shares[self._stage] = self._shares.get(self._stage, 0.0) + cost
        return cost / max(share, 1e-9)

    def advance(self, done: float, total: float, *, force: bool = False) -> None:
        """Tell how far the stage is, at most ten times a second."""
        now = time.monotonic()
        if not force and now - self._told < EVERY_SECONDS:
            return
        self._told = now
        share = self._shares.get(self._stage, 0.0)
        reached = min(1.0, (self._finished + share * done / max(total, 1e-9)) / self._whole)
        self._furthest = max(reached, self._furthest)  # the bar never goes back where more is to be done than expected
        left = self._seconds_left(now, reached)
        self._report(Progress(stage=self._stage, done=done, total=total, fraction=self._furthest, seconds_left=left))

    def end(self) -> None:
        if self._stage:
            taken = time.monotonic() - self._stage_begun
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + taken
            self._finished += self._shares.get(self._stage, 0.0)
        self._stage = ""

    def _seconds_left(self, now: float, fraction: float) -> float | None:
        taken = now - self._begun
        if taken < SURE_AFTER_SECONDS or fraction < SURE_AFTER_FRACTION:
            return None
        return taken * (1 - fraction) / fraction
