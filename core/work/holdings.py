"""What lies where in the data folder, and how much room it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compresslab.files.atomic import PART
from compresslab.files.paths import home

FOLDERS = ("runs", "exports", "statistics", "sensitivity", "layers", "texts", "logs")
STORE = "store"  # store.db, and what SQLite keeps beside it
LOCK = ".lock"


@dataclass(frozen=True)
class Holding:
    """`count` are the runs, exports or texts, or whatever this is of; `oldest` and `newest` say when they were changed
    last, in seconds since 1970, None of what is empty."""

    kind: str
    place: Path
    count: int
    bytes: int
    oldest: float | None
    newest: float | None


def holdings() -> list[Holding]:
    """Of the data folder, in the order in which people read them; what is not whole is among the left-overs."""
    found = [_holding(kind, home() / kind, list(_items(home() / kind))) for kind in FOLDERS]
    return [*found, _holding(STORE, home(), list(home().glob("store.db*")))]


def _items(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (item for item in folder.iterdir() if not item.name.endswith((PART, LOCK)))


def _holding(kind: str, place: Path, items: list[Path]) -> Holding:
    sizes, changed = 0, []
    for item in items:
        latest = 0.0
        for status in _files(item):
            sizes += status.st_size
            latest = max(latest, status.st_mtime)
        changed += [latest] if latest else []
    return Holding(kind, place, len(items), sizes, min(changed, default=None), max(changed, default=None))


def _files(item: Path) -> Iterator[os.stat_result]:
    """Links are not followed; what goes meanwhile is left out."""
    for path in (item, *item.rglob("*")) if item.is_dir() and not item.is_symlink() else (item,):
        with suppress(OSError):
            status = path.lstat()
            if path.is_file() and not path.is_symlink():
                yield status
