"""How tests wait: until something is so, never for a guess of how long it takes.

A test is as quick as the machine lets it be, and gives up only where something hangs. What a test holds about
quickness is counted in work (events, statements, turns), not in seconds: a machine may be busy with other things.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 300.0  # seconds; far beyond what anything takes beside four busy processes
LOOK_SECONDS = 0.05
T = TypeVar("T")


def eventually(sought: Callable[[], T], problem: Callable[[], str] = str, patience: float = PATIENCE) -> T:
    """The first true answer; where there is none, an AssertionError with what `problem` says."""
    deadline = time.monotonic() + patience
    while not (found := sought()):
        assert time.monotonic() < deadline, f"Still not so after {patience:.0f} seconds. {problem()}"
        time.sleep(LOOK_SECONDS)
    return found
