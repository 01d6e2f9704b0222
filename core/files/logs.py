"""Logs in the user's data folder: appended to by the processes that run, and cut where they grow long."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from compresslab.files.paths import home

LONGEST, KEPT = 5_000_000, 1_000_000  # bytes: of a longer log the newest are kept


def log_file(name: str) -> Path:
    """Where to append."""
    folder = home() / "logs"
    folder.mkdir(0o700, exist_ok=True)
    path = folder / name
    path.touch(0o600)
    return path


def cut_logs() -> int:
    """Cut those that have grown long, whoever appends to them now; returns the bytes that are free again."""
    return sum(_cut(path) for path in (home() / "logs").glob("*.log"))


def _cut(path: Path) -> int:
    with suppress(OSError):
        size = path.stat().st_size
        if size > LONGEST:
            with path.open("r+b") as log:
                log.seek(size - KEPT)
                newest = log.read().partition(b"\n")[2]
            os.truncate(path, 0)
            with path.open("ab") as log:
                log.write(newest)
            return size - len(newest)
    return 0
