"""What a job reports while it works. Plain data: kept in the store, read by any observer."""

from collections.abc import Callable
from typing import Annotated, Literal

from compresslab.errors import RunFailed
from compresslab.messages import Message
from compresslab.records.record import Record
from compresslab.records.results import Measurement
from pydantic import Field, TypeAdapter, ValidationError


class Progress(Record):
    """How far a stage of the pipeline is; `seconds_left` is for the whole job, None while unknown."""

    kind: Literal["progress"] = "progress"
    stage: str  # download, load, baseline, <method name>, evaluate, speed, save
    done: float
    total: float
    fraction: float = 0.0  # of the whole job
    seconds_left: float | None = None


class Draft(Record):
    """Measurements so far; they replace what an earlier draft said of the same metric and variant."""

    kind: Literal["draft"] = "draft"
    measurements: list[Measurement]
    samples: int = 0  # tokens seen so far: the x axis of the converging chart


class Measured(Record):
    """Measurements that will not change any more."""

    kind: Literal["measured"] = "measured"
    measurements: list[Measurement]


class Loss(Record):
    """One point of a training curve."""

    kind: Literal["loss"] = "loss"
    step: int
    total: int
    loss: float


class Token(Record):
    """Text that one pane has added. `index` counts tokens of that pane, `seconds` is since its start."""

    kind: Literal["token"] = "token"
    pane: int
    index: int
    token_id: int
    text: str
    seconds: float
    probability: float | None = None  # that the model gave it, before temperature; None for beams
    alternatives: tuple[tuple[str, float], ...] = ()  # the likeliest tokens of that moment, with theirs


class PaneStarted(Record):
    """A pane begins to write: which weights, by content hash."""

    kind: Literal["pane_started"] = "pane_started"
    pane: int
    label: str
    weights_hash: str


class PaneDone(Record):
    """A pane has finished writing, timed alone."""

    kind: Literal["pane_done"] = "pane_done"
    pane: int
    text: str
    tokens: int
    ttft_seconds: float
    decode_tokens_per_second: float | None = None  # None for one token, and for beams, which come all at once
    kernel: Literal["real", "simulated"] | None = None
    runtime: Message | None = None  # and its kernel
    note: Message | None = None


class Notice(Record):
    """Something the reader must know: a fallback, a limit met, a choice made."""

    kind: Literal["notice"] = "notice"
    text: Message
    level: Literal["info", "warning"] = "info"


Event = Annotated[
    Progress | Draft | Measured | Loss | Token | PaneStarted | PaneDone | Notice,
    Field(discriminator="kind"),
]
Report = Callable[[Event], None]
Cancelled = Callable[[], bool]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def ignored(event: Event) -> None:
    """The `Report` of those who listen to nothing."""


def never() -> bool:
    """The `Cancelled` of work that nobody can stop."""
    return False


def to_json(event: Event) -> str:
    """Raises RunFailed for a number that is not finite: JSON has none, and it could not be read back."""
    text = event.model_dump_json(exclude_none=True)
    try:
        _ADAPTER.validate_json(text)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RunFailed("job.not_finite", where=where) from None
    return text


def from_json(text: str) -> Event:
    return _ADAPTER.validate_json(text)
