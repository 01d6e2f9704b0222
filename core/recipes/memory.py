"""Memory that work may take: what is free on this machine or in its container, and what warm processes of ours hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from cachetools import TTLCache, cached
from compresslab.errors import BadInput

CACHES = "COMPRESSLAB_CACHE_BYTES"
SHARE = 0.25  # of all memory, that the caches of a process take where the environment does not say how much
WARM = "compresslab.work.child"  # the module that a warm process runs
RUNTIME_BYTES = 400 * 2**20  # of such a process that are no models: it never gives them up
SECONDS = 10.0  # for which an answer holds: plans are made at every move of a slider
ROOT = Path("/")


@dataclass(frozen=True)
class CacheMemory:
    """Bytes: the `most` that the caches of one process take, and what warm processes hold of models and caches."""

    most: int
    warm: int


def free() -> int:
    """Bytes that are free on this machine, and in its container where there is one."""
    return min([psutil.virtual_memory().available, *(left for _, left in limits())])


def available(*, own: bool = False) -> int:
    """Bytes that the next job may take: what is free, and what its process gives up for it, which is this one with
    `own`, and else a worker's."""
    return min(free() + (_kept(psutil.Process()) if own else kept_warm()), total())


def total() -> int:
    """Bytes of this machine, or of its container."""
    return min([psutil.virtual_memory().total, *(most for most, _ in limits())])


def for_caches() -> int:
    """Bytes that the caches of one process may take together. Raises BadInput for a setting that is no number."""
    asked = os.environ.get(CACHES)
    if asked is None:
        return int(SHARE * total())
    if not asked.strip().isdecimal():
        raise BadInput("statistics.not_bytes", variable=CACHES, given=asked)
    return int(asked)


def limits(root: Path = ROOT) -> list[tuple[int, int]]:
    """The limits in bytes that the control groups of this process set, and what is left below each: version 2 and 1."""
    found: list[tuple[int, int]] = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, place = line.split(":", 2)
        if controllers == "memory":
            found += _limits(root / "sys/fs/cgroup/memory", place, "memory.limit_in_bytes", "memory.usage_in_bytes")
        elif not controllers:
            found += _limits(root / "sys/fs/cgroup", place, "memory.max", "memory.current")
    return found


def _limits(mount: Path, place: str, limit: str, usage: str) -> Iterator[tuple[int, int]]:
    """Of the group and of all around it. In a container its own path may lie outside what is mounted: then the mount
    is its group."""
    group = mount / place.lstrip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(mount):
            with suppress(OSError, ValueError):
                most, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit, usage))
                yield most, max(0, most - used + _file_pages(folder))


def _file_pages(folder: Path) -> int:
    """Pages of files that nobody used lately: they go as soon as others are needed."""
    for line in _lines(folder / "memory.stat"):
        name, _, count = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and count.strip().isdecimal():
            return int(count)
    return 0


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


@cached(TTLCache(1, SECONDS))
def kept_warm() -> int:
    """Bytes that the children of workers on this machine hold, other than this process."""
    others = (process for process in psutil.process_iter(["cmdline"]) if process.pid != os.getpid())
    return sum(_kept(process) for process in others if WARM in (process.info["cmdline"] or ()))


def kept_by(pid: int) -> int:
    """Bytes that a warm process holds of models and caches; 0 of one that has ended."""
    try:
        return _kept(psutil.Process(pid))
    except psutil.Error:
        return 0


def _kept(process: psutil.Process) -> int:
    """Without the pages of files: those count as free already."""
    try:
        taken = process.memory_info()
    except psutil.Error:
        return 0
    return max(0, int(taken.rss - getattr(taken, "shared", 0)) - RUNTIME_BYTES)
