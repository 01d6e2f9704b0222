"""What goes wrong, and in which states a job may be afterwards."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from compresslab.store import JobRow

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.phases import Begun
from tests.patience import eventually

STEPS = (60.0, 3600.0, 86400.0, 20 * 86400.0)  # seconds that the clock is set on or back
BEATS = 3  # the worker's, in which it looks at others twice

Strike = Callable[[Arena, Begun, random.Random], None]


@dataclass(frozen=True)
class Fault:
    strike: Strike
    ends: tuple[str, ...]  # states of the job that it hit
    sweep_ends: tuple[str, ...]  # of a sweep's points; a worker that goes away costs a sweep nothing
    dear: bool = False  # a process has to be started again, which takes seconds


def _on(arena: Arena) -> None:
    arena.gate.touch()


def _child_dies(number: signal.Signals) -> Strike:
    def strike(arena: Arena, begun: Begun, chance: random.Random) -> None:
        child = arena.child
        child.send_signal(number)
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        _on(arena)

    return strike


def _worker_dies(number: signal.Signals) -> Strike:
    def strike(arena: Arena, begun: Begun, chance: random.Random) -> None:
        assert arena.process is not None
        arena.process.send_signal(number)
        arena.process.wait()
        _on(arena)
        arena.wake()

    return strike


def _frozen(process: psutil.Process) -> None:
    process.suspend()
    eventually(lambda: process.status() == psutil.STATUS_STOPPED)


def _child_freezes(arena: Arena, begun: Begun, chance: random.Random) -> None:
    child = arena.child
    _frozen(child)
    _beats(arena, 1)
    child.resume()
    _on(arena)


def _child_freezes_for_good(arena: Arena, begun: Begun, chance: random.Random) -> None:
    _frozen(arena.child)
    for job in _unfinished(arena, begun):
        arena.store.request_cancel(job.id)
    _on(arena)


def _worker_freezes(arena: Arena, begun: Begun, chance: random.Random) -> None:
    worker = arena.worker
    _frozen(worker)
    _on(arena)
    worker.resume()


def _cancelled(arena: Arena, begun: Begun, chance: random.Random) -> None:
    if begun.sweep is not None:
        arena.store.stop_sweep(begun.sweep)
    for job in _unfinished(arena, begun):
        arena.store.request_cancel(job.id)
    eventually(lambda: not _unfinished(arena, begun))


def _clock_steps(arena: Arena, begun: Begun, chance: random.Random) -> None:
    arena.clock.write_text(repr(chance.choice(STEPS) * chance.choice([-1, 1])), encoding="ascii")
    _beats(arena, BEATS)
    _on(arena)


def _disk_fills(arena: Arena, begun: Begun, chance: random.Random) -> None:
    before = arena.log.stat().st_size
    with arena.full_disk():
        _on(arena)
        eventually(lambda: not _unfinished(arena, begun) or b"Trying again" in arena.log.read_bytes()[before:])


def _beats(arena: Arena, count: int) -> None:
    def heard() -> list[float]:
        return [row.heartbeat for row in arena.store.workers(stale=True)]

    for _ in range(count):
        last = heard()
        eventually(lambda last=last: heard() != last)


def _unfinished(arena: Arena, begun: Begun) -> list[JobRow]:
    return [row for row in map(arena.store.job, begun.jobs) if not row.over]


FAULTS = {
    "child killed": Fault(_child_dies(signal.SIGKILL), ("failed",), ("failed", "done"), dear=True),
    "child terminated": Fault(_child_dies(signal.SIGTERM), ("failed",), ("failed", "done"), dear=True),
    "child frozen": Fault(_child_freezes, ("done",), ("done",)),
    "child frozen, then cancelled": Fault(_child_freezes_for_good, ("cancelled",), ("cancelled", "done"), dear=True),
    "worker killed": Fault(_worker_dies(signal.SIGKILL), ("failed",), ("failed", "done"), dear=True),
    "worker terminated": Fault(_worker_dies(signal.SIGTERM), ("failed",), ("failed", "done"), dear=True),
    "worker frozen": Fault(_worker_freezes, ("done",), ("done",)),
    "cancelled": Fault(_cancelled, ("cancelled",), ("cancelled", "done")),
    "clock stepped": Fault(_clock_steps, ("done",), ("done",)),
    "disk full": Fault(_disk_fills, ("failed", "done"), ("failed", "done")),
}
