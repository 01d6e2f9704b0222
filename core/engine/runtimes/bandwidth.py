"""How fast this machine reads memory: what a speed of writing is held against."""

from __future__ import annotations

import time
from functools import lru_cache

import torch

READS = 7
GRAIN = 2**16  # bytes: sizes that differ by less are measured once


def read_bandwidth(size: int) -> float:
    """Bytes a second of a plain read of about so many bytes, with torch's threads, measured once per process."""
    return _measured(max(1, round(size / GRAIN)) * GRAIN, torch.get_num_threads())


@lru_cache(maxsize=64)
def _measured(size: int, threads: int) -> float:
    """The quickest read: other work can only slow one down."""
    return size / min(read_seconds(size, READS))


def read_seconds(size: int, reads: int) -> list[float]:
    """Seconds of plain reads of so many bytes, after one that warms up. Of memory that was written to, or the system
    would read one and the same empty page again and again.
    """
    buffer = torch.ones(size // 4)
    taken = []
    for _ in range(reads + 1):
        begun = time.perf_counter()
        buffer.sum()
        taken.append(time.perf_counter() - begun)
    return taken[1:]
