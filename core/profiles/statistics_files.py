"""Statistics of inputs on disk: what there is, how much room it may take, and taking it away. No torch.

One folder per fingerprint, which appears under its name when it is whole. Least recently used goes first.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from compresslab.errors import BadInput
from compresslab.files.atomic import PART, write_text
from compresslab.files.paths import home
from compresslab.messages import Message
from filelock import FileLock, Timeout

ABOUT = "about.json"
LOCK = ".lock"
INPUTS: Final = "inputs"  # statistics of what the weights of a model are given
BASELINE: Final = "baseline"  # what a baseline said of a text or of questions
Kind = Literal["inputs", "baseline"]
SHARE_OF_DISK = 0.1  # of what is free, where the environment does not say how much
MOST_BYTES = 16 * 2**30
ROOM = "COMPRESSLAB_STATISTICS_BYTES"


@dataclass(frozen=True)
class StatisticsEntry:
    """Statistics that are kept, and what they were taken from."""

    id: str
    model: str
    text: Message
    samples: int
    sequence_length: int
    kind: Kind
    bytes: int
    last_used: str  # ISO 8601, UTC


def folder() -> Path:
    """Where statistics are kept; made on first use."""
    place = home() / "statistics"
    place.mkdir(0o700, exist_ok=True)
    return place


def entries() -> list[StatisticsEntry]:
    """Most recently used first."""
    found = [(place, _about(place)) for place in folder().iterdir() if not place.name.endswith((PART, LOCK))]
    listed = [_entry(place, about) for place, about in found if about is not None]
    return sorted(listed, key=lambda entry: entry.last_used, reverse=True)


def clear(ids: Iterable[str] | None = None) -> int:
    """Delete these statistics, or all; returns the bytes that are free now. Raises BadInput for an unknown id."""
    there = {entry.id: entry for entry in entries()}
    chosen = list(there) if ids is None else list(dict.fromkeys(ids))
    unknown = next((id_ for id_ in chosen if id_ not in there), None)
    if unknown is not None:
        raise BadInput("statistics.unknown", id=unknown)
    for id_ in chosen:
        shutil.rmtree(folder() / id_, ignore_errors=True)  # the lock stays: another process may hold it
    return sum(there[id_].bytes for id_ in chosen)


def room() -> int:
    """Bytes that all statistics together may take. Raises BadInput for a setting that is no number."""
    asked = os.environ.get(ROOM)
    if asked is not None:
        if not asked.strip().isdecimal():
            raise BadInput("statistics.not_bytes", variable=ROOM, given=asked)
        return int(asked)
    taken = sum(entry.bytes for entry in entries())
    return min(MOST_BYTES, int(SHARE_OF_DISK * (shutil.disk_usage(folder()).free + taken)))


def make_room(need: int, keep: str) -> bool:
    """Delete what was used least recently until `need` bytes more may be written; False where that can't be."""
    most = room()
    there = entries()
    taken = sum(entry.bytes for entry in there)
    for entry in reversed(there):
        if taken + need <= most:
            break
        if entry.id != keep:
            taken -= clear([entry.id])
    return taken + need <= most


def is_there(id_: str) -> bool:
    return (folder() / id_ / ABOUT).is_file()


def touch(id_: str) -> None:
    """These are in use now."""
    with suppress(OSError):
        os.utime(folder() / id_ / ABOUT)


def begin(id_: str, about: dict[str, Any]) -> None:
    """A folder to which files are added one by one, each of them whole; nothing is changed where it is there."""
    place = folder() / id_
    place.mkdir(0o700, exist_ok=True)
    if not is_there(id_):
        write_text(place / ABOUT, json.dumps(about, indent=1))


def write_about(place: Path, about: dict[str, Any]) -> None:
    (place / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


@contextmanager
def locked(id_: str, wait: Iterable[None]) -> Iterator[None]:
    """Alone with these statistics among all processes; `wait` is gone through step by step until that is so."""
    lock = FileLock(folder() / f"{id_}{LOCK}")
    for _ in wait:
        with suppress(Timeout):
            lock.acquire(timeout=0.2)
            break
    try:
        yield
    finally:
        lock.release()


def _about(place: Path) -> dict[str, Any] | None:
    """None for what is not whole, or was deleted a moment ago."""
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def _entry(place: Path, about: dict[str, Any]) -> StatisticsEntry:
    used = _modified(place / ABOUT)
    return StatisticsEntry(
        id=place.name,
        model=str(about.get("model", "")),
        text=Message.from_json(about.get("text", "")),
        samples=int(about.get("samples", 0)),
        sequence_length=int(about.get("sequence_length", 0)),
        kind=BASELINE if about.get("kind") == BASELINE else INPUTS,
        bytes=_bytes(place),
        last_used=datetime.fromtimestamp(used, UTC).isoformat(timespec="milliseconds"),
    )


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _bytes(place: Path) -> int:
    total = 0
    with suppress(OSError):
        for file in place.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total
