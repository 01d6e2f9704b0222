"""A second warm child, in which whoever waits in front of the screen has their turn beside a long job. No torch."""

from __future__ import annotations

import time

from compresslab.recipes import memory
from compresslab.store import JobRow, Store
from compresslab.work.needs import need
from compresslab.work.seat import Seat

LONG_SECONDS = 5.0  # a job that takes longer makes somebody wait who moves a slider now and then
LATELY_SECONDS = 300.0  # somebody did so at most that long ago
SPARE_SECONDS = 120.0  # it is kept for so long after the last long job
LOOK_SECONDS = 1.0


class SecondChild:
    """Started when it is needed and its memory is free, or soon will be; ended when others need that memory.

    On a GPU there is none: how much of its memory is free, this process can't know.
    """

    def __init__(self, store: Store, main: Seat, seat: Seat) -> None:
        self.seat = seat
        self._store = store
        self._main = main
        self._wanted = 0.0  # when it last was, by the monotonic clock, as the time below
        self._looked = 0.0

    def look(self) -> JobRow | None:
        """The live job that it could do now."""
        doing, now = self._main.doing, time.monotonic()
        if self.seat.doing is not None:
            return None
        if doing is None or doing.row.live or self._main.device != "cpu":
            if self.seat.child is not None and now - self._wanted > SPARE_SECONDS:
                self.seat.empty()
            return None
        self._wanted = now
        waiting = self._store.next_live()
        if waiting is None:
            self._get_ready(doing.row, now - doing.since)
        elif self._fits(waiting) and self.seat.filled() and self.seat.free() and self.seat.device:
            return waiting
        return None

    def give_way(self, row: JobRow) -> None:
        """Before the first child begins a job that needs the memory which this one holds."""
        idle = self.seat.child is not None and self.seat.doing is None
        if idle and need(row) > memory.free() + self._main.held:
            self.seat.empty()

    def _get_ready(self, row: JobRow, seconds: float) -> None:
        """Starting takes a while: better before the next slider is moved, where somebody moves sliders."""
        now = time.monotonic()
        if self.seat.child is not None or seconds < LONG_SECONDS or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._store.live_since(LATELY_SECONDS) and self._fits(row):
            self.seat.filled()

    def _fits(self, row: JobRow) -> bool:
        """Whether its memory is free, and what the long job may still take."""
        starting = memory.RUNTIME_BYTES if self.seat.child is None else 0
        wanted = [(need(row), self.seat.held)]
        if self._main.doing is not None:
            wanted.append((need(self._main.doing.row), self._main.held))
        return starting + sum(max(0, most - held) for most, held in wanted) <= memory.free()
