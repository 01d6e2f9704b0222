"""What commands share: the option for JSON, the workspace, and how Ctrl-C reaches the work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from compresslab.errors import Cancelled

if TYPE_CHECKING:
    from compresslab.workspace import Workspace

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, all else on stderr.")


def open_workspace() -> Workspace:
    from compresslab.workspace import Workspace

    return Workspace()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the work stops where it leaves nothing half-done. A second one ends it at once."""
    pressed: list[int] = []

    def press(number: int, _frame: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    except Cancelled:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
