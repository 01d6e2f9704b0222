"""What the events of one job add up to, so far. No Streamlit: whoever polls feeds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from compresslab.records.events import Draft, Event, Loss, Measured, Notice, PaneDone, PaneStarted, Progress, Token
from compresslab.records.results import LossPoint, Measurement, Variant


@dataclass
class DraftPoint:
    """Measurements after `samples` tokens: one point of the converging chart."""

    samples: int
    measurements: list[Measurement]


Moment = tuple[float, float | None, tuple[tuple[str, float], ...]]  # seconds, probability, the likeliest tokens


@dataclass
class PaneText:
    """What one pane has written so far."""

    tokens: list[tuple[int, str]] = field(default_factory=list)  # token id, text
    moments: list[Moment] = field(default_factory=list)  # one a token
    started: PaneStarted | None = None
    done: PaneDone | None = None


@dataclass
class JobView:
    """Feed it events in order; `cursor` is the number of the last one."""

    cursor: int = 0
    progress: Progress | None = None
    drafts: list[DraftPoint] = field(default_factory=list)
    losses: list[LossPoint] = field(default_factory=list)
    loss_total: int = 0
    notices: list[Notice] = field(default_factory=list)
    panes: dict[int, PaneText] = field(default_factory=dict)
    _latest: dict[tuple[str, Variant], Measurement] = field(default_factory=dict)

    @property
    def measurements(self) -> list[Measurement]:
        """The newest of every metric and variant."""
        return list(self._latest.values())

    def feed(self, events: list[tuple[int, Event]]) -> None:
        for number, event in events:
            if number > self.cursor:
                self._take(event)
                self.cursor = number

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Draft | Measured):
            self._measure(event)
        elif isinstance(event, Loss):
            self.losses.append(LossPoint(step=event.step, loss=event.loss))
            self.loss_total = event.total
        elif isinstance(event, Notice):
            self.notices.append(event)
        else:
            self._write(event)

    def _measure(self, event: Draft | Measured) -> None:
        self._latest |= {(m.metric, m.variant): m for m in event.measurements}
        if isinstance(event, Draft):
            self.drafts.append(DraftPoint(event.samples, event.measurements))

    def _write(self, event: Token | PaneStarted | PaneDone) -> None:
        pane = self.panes.setdefault(event.pane, PaneText())
        if isinstance(event, Token):
            pane.tokens.append((event.token_id, event.text))
            pane.moments.append((event.seconds, event.probability, event.alternatives))
        elif isinstance(event, PaneStarted):
            pane.started = event
        else:
            pane.done = event
