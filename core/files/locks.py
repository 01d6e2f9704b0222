"""Locks that the processes of this machine share, as files of the data folder. Never deleted: somebody may hold one."""

from __future__ import annotations

from compresslab.files.paths import home
from filelock import FileLock


def timing_lock() -> FileLock:
    """Held by whoever times, or writes words that are timed: one at a time on this machine."""
    return FileLock(home() / "timing.lock")


def quiet_lock() -> FileLock:
    """Held while models race: workers begin no job meanwhile."""
    return FileLock(home() / "quiet.lock")
