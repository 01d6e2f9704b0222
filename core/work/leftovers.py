"""What processes that were killed left behind in the data folder, and what grew old in it: found, and taken away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from compresslab.files import atomic, logs
from compresslab.files.atomic import PART
from compresslab.files.paths import home
from compresslab.store import Store
from compresslab.store.retention import Old

PLACES = ("statistics", "exports", "runs", "sensitivity", "layers", "texts")  # of the data folder, where parts arise
ABANDONED_SECONDS = 24 * 3600.0  # without a change: a part whose writer is not known is nobody's any more


@dataclass(frozen=True)
class Leftovers:
    """`parts` are files and folders that were never whole, `bytes` their size; `old` is counted in the store."""

    parts: tuple[Path, ...]
    bytes: int
    old: Old


def find(store: Store) -> Leftovers:
    """What there is, and nothing done to it. Raises CompresslabError."""
    parts = tuple(_abandoned())
    return Leftovers(parts, sum(map(_size, parts)), store.retention.count())


def clean(store: Store) -> Leftovers:
    """Take it away; returns what that was. Raises CompresslabError."""
    found = find(store)
    tidy(store)
    store.retention.shrink()
    return found


def tidy(store: Store) -> None:
    """The same in passing, for a worker at its work."""
    for part in _abandoned():
        _remove(part)
    logs.cut_logs()
    store.retention.forget()


def remove_of(pid: int) -> None:
    """What a process of this machine that has just ended had begun to write."""
    for part in _parts():
        if atomic.writer_of(part) == pid:
            _remove(part)


def _abandoned() -> Iterator[Path]:
    for part in _parts():
        writer = atomic.writer_of(part)
        if not psutil.pid_exists(writer) if writer is not None else time.time() - _changed(part) > ABANDONED_SECONDS:
            yield part


def _parts() -> list[Path]:
    found: list[Path] = []
    for place in PLACES:
        with suppress(OSError):
            found += [*(home() / place).glob(f"*{PART}"), *(home() / place).glob(f"*/*{PART}")]
    return [part for part in found if not part.parent.name.endswith(PART)]


def _remove(part: Path) -> None:
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink()


def _files(part: Path) -> list[Path]:
    return [part, *part.rglob("*")] if part.is_dir() else [part]


def _size(part: Path) -> int:
    total = 0
    for file in _files(part):
        with suppress(OSError):
            total += file.lstat().st_size if file.is_file() else 0
    return total


def _changed(part: Path) -> float:
    newest = 0.0
    for file in _files(part):
        with suppress(OSError):
            newest = max(newest, file.lstat().st_mtime)
    return newest
