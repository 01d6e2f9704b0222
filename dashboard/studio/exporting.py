"""Exports that a browser session has asked for, and with what settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compresslab.errors import CompresslabError
from compresslab.messages import Message
from compresslab_dashboard.session import state


@dataclass
class Exporting:
    """By run and format: the job that wrote it last, or why it was not even begun; `settings` are by format."""

    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    unwritten: dict[tuple[str, str], Message] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def export(run_id: str, name: str) -> None:
    """Have a finished run written in a format, with the settings chosen for it."""
    exporting = state.own(Exporting)
    exporting.unwritten.pop((run_id, name), None)
    try:
        (job,) = state.workspace().exports.submit(
            run_id, name, settings=exporting.settings, owner=state.visitor().owner
        )
    except CompresslabError as error:
        exporting.unwritten[run_id, name] = error.message
        return
    exporting.jobs[run_id, name] = job
