"""A clock that steps: what a process and its database take for now, moved by what a file says."""

from __future__ import annotations

import os
import time
from pathlib import Path

from compresslab.store.database import Database
from sqlalchemy import Double, literal_column

STEP_FILE = "CHAOS_CLOCK"  # names the file; its text is in seconds


def install() -> None:
    """From now on in this process. Monotonic clocks stay as they are, as they do when a machine's clock is set."""
    real = time.time
    time.time = lambda: real() + _step()
    Database.now = property(  # type: ignore[assignment, method-assign]
        lambda self: literal_column(f"(julianday('now') - 2440587.5) * 86400.0 + ({_step()!r})", Double)
    )


def _step() -> float:
    try:
        return float(Path(os.environ[STEP_FILE]).read_text(encoding="ascii"))
    except (OSError, ValueError):  # nothing has stepped yet, or it is being written
        return 0.0
