"""The tables of the store. Times are seconds since 1970, UTC, by the database's clock."""

import json
from collections.abc import Iterable
from typing import Any

from compresslab.messages import Message
from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)


class _Said(TypeDecorator[Message]):
    """A message as JSON: its code and values."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Message | None, dialect: Any) -> str | None:
        return None if value is None else value.dumps()

    def process_result_value(self, value: str | None, dialect: Any) -> Message | None:
        return None if value is None else Message.loads(value)


class _Tags(TypeDecorator[tuple[str, ...]]):
    """Short texts as a JSON list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps(list(value), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[str, ...] | None:
        return None if value is None else NO_TAGS if value == "[]" else tuple(json.loads(value))


NO_TAGS: tuple[str, ...] = ()
METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # run, generate, warm
    Column("payload", Text, nullable=False),  # JSON of the job's model in compresslab.work.jobs
    Column("owner", String(64), nullable=False),
    Column("live", Boolean, nullable=False, server_default=false()),
    Column("priority", Integer, nullable=False),  # the lowest goes first
    Column("state", String(16), nullable=False),
    Column("error", _Said),
    Column("cancel_reason", _Said),  # set as soon as someone asks the job to stop
    Column("worker_id", String(128)),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("renewed", Float),  # when who waits for a live job last said so
    Index("jobs_by_turn", "state", "priority", "id"),
    Index("jobs_by_owner", "owner", "state"),
    sqlite_autoincrement=True,  # a number is never given twice
)

EVENTS = Table(
    "events",
    METADATA,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("job_id", Integer),
    Column("model", Text, nullable=False),
    Column("created", String(40), nullable=False),  # ISO 8601, UTC, as in the record
    Column("deleted", Float),
    Column("recipe_hash", String(12), nullable=False, server_default=""),
    Column("named_files", String(16), nullable=False, server_default=""),  # model and texts as they were, if known
    Column("stage", String(16), nullable=False, server_default="final"),  # draft: kept for a sweep alone
    Column("tags", _Tags, nullable=False, server_default="[]"),
    Column("note", Text, nullable=False, server_default=""),
    Column("owner", String(64), nullable=False, server_default=""),  # of the job; nobody's from the command line
    Column("steps", Text, nullable=False, server_default="[]"),  # of the recipe, as JSON
    Column("seconds", Double, nullable=False, server_default="0"),
    Column("device", Text, nullable=False, server_default=""),
    Column("versions", Text, nullable=False, server_default=""),
    Column("size", Double),  # bytes on disk
    Column("size_share", Double),  # of the baseline's
    Column("memory_share", Double),
    Column("perplexity", Double),
    Column("perplexity_error", Double),  # a standard error, as all of them
    Column("perplexity_change", Double),  # %, on the same tokens as the baseline
    Column("perplexity_change_error", Double),
    Column("accuracy", Double),
    Column("accuracy_error", Double),
    Column("accuracy_before", Double),  # the baseline's
    Column("accuracy_change", Double),
    Column("flipped", Double),  # fraction of the answers
    Column("flipped_error", Double),
    Column("decode", Double),  # speed of writing, times the baseline's
    Column("decode_error", Double),
    Column("prefill", Double),  # and of reading
    Column("prefill_error", Double),
    Column("simulated", String(32), nullable=False, server_default=""),  # speeds without a kernel: "decode prefill"
    Index("runs_by_time", "created"),
    Index("runs_by_recipe", "recipe_hash"),
    Index("runs_by_model", "model", "created"),
    Index("runs_by_size", "size_share"),
    Index("runs_by_perplexity", "perplexity_change"),
)

RECORDS = Table(
    "run_records",
    METADATA,
    Column("run_id", String(32), ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("record", Text, nullable=False),  # JSON; apart, for a list to read the small rows alone
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("worker_id", String(128), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process", String(128), nullable=False, server_default=""),  # tells it from a later one of that number
    Column("device", Text, nullable=False),
    Column("state", String(16), nullable=False),  # starting, idle, busy
    Column("started", Float, nullable=False),
    Column("heartbeat", Float, nullable=False),
)

SWEEPS = Table(
    "sweeps",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("spec", Text, nullable=False),  # JSON of compresslab.recipes.sweep.Sweep
    Column("owner", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("deleted", Float),
    sqlite_autoincrement=True,
)

SWEEP_POINTS = Table(
    "sweep_points",
    METADATA,
    Column("sweep_id", Integer, ForeignKey("sweeps.id"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),  # in the order of the work
    Column("coordinates", Text, nullable=False),  # JSON list: a value for every axis
    Column("recipe", Text),  # JSON; null where none could be made
    Column("recipe_hash", String(12)),
    Column("aside", _Said),  # why it makes no sense; it is never run
    Column("error", _Said),  # how it failed where no job says so
    Column("job_id", Integer),  # the last one that was to do it
    Column("put_back", Integer, nullable=False, server_default="0"),  # how often its worker went away
    Index("sweep_points_by_recipe", "recipe_hash"),
    Index("sweep_points_by_job", "job_id"),
)

PEOPLE = Table(
    "people",
    METADATA,
    Column("id", String(64), primary_key=True),  # the `owner` of what somebody signed in has asked for
    Column("name", String(200), nullable=False),
)

VOTES = Table(
    "votes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("first", String(64), nullable=False),  # content hash of weights: what wrote one of the two texts
    Column("second", String(64), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("choice", String(8), nullable=False),  # first, second, same, bad
    Column("owner", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Index("votes_by_pair", "first", "second"),
)
