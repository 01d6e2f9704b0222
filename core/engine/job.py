"""One piece of work on its way: whom it tells, and whether it shall stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compresslab.engine.progress import Report, Tracker
from compresslab.errors import Cancelled
from compresslab.messages import Message, message
from compresslab.records.events import Event, Notice


@dataclass
class Job:
    """One piece of work on its way: whom it tells, and whether it shall stop."""

    report: Report
    cancelled: Callable[[], bool]
    tracker: Tracker
    notices: list[Message] = field(default_factory=list)
    remembered: list[Message] = field(default_factory=list)  # for the record: what was used, by content
    said: list[Message] = field(default_factory=list)  # every notice as often as it came up

    def check(self) -> None:
        """Raises Cancelled when the work shall stop."""
        if self.cancelled():
            raise Cancelled

    def notice(self, said: Message | str, /, **values: Any) -> None:
        """Say something once that the reader must know: a message, or its code and values."""
        new = message(said, **values)
        self.said.append(new)
        if new not in self.notices:
            self.notices.append(new)
            self.report(Notice(text=new))

    def remember(self, said: Message | str, /, **values: Any) -> None:
        """Write something into the record of the run that is not shown live."""
        new = message(said, **values)
        if new not in self.remembered:
            self.remembered.append(new)


def silent_job() -> Job:
    """Of work that nobody watches."""

    def ignore(event: Event) -> None:
        """Nobody hears it."""

    return Job(ignore, lambda: False, Tracker({}, ignore))
