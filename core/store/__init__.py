"""The store: jobs, their events, runs and workers, in one SQL database that every process may open."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.records.events import Event, Progress, from_json
from compresslab.store.database import BUSY_SECONDS
from compresslab.store.people import PeopleStore
from compresslab.store.retention import Retention
from compresslab.store.runs import RunStore
from compresslab.store.sweeps import SweepStore
from compresslab.store.tables import EVENTS, JOBS, SWEEP_POINTS, WORKERS
from compresslab.store.votes import VoteStore
from sqlalchemy import Row, Select, and_, delete, func, insert, literal, not_, or_, select, update

State = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("queued", "running")
STALE_SECONDS = 4.0 * BUSY_SECONDS  # a worker may have to wait for the store before it can beat
FUTURE_SECONDS = 1.0  # that a heartbeat may lie in the future: a clock that is set right now and then
PRESENT_SECONDS = 30.0  # a live job waits its turn for so long after somebody last looked for it
AWAY_SECONDS = 300.0  # and is given up after so long
KEPT_LIVE_JOBS = 200  # of which the events are kept
SUPERSEDED, STOPPED, LEFT = Message("job.superseded"), Message("job.stopped"), Message("job.left")
SWEEP_STOPPED = Message("sweep.stopped")


@dataclass(frozen=True)
class JobRow:
    """A job as the store has it. Times are seconds since 1970, UTC."""

    id: int
    kind: Literal["run", "generate", "download", "sensitivity", "profile", "export", "warm"]
    payload: dict[str, Any]
    owner: str
    live: bool
    priority: int
    state: State
    error: Message | None
    cancel_reason: Message | None
    worker_id: str | None
    created: float
    started: float | None
    finished: float | None
    renewed: float | None

    @property
    def over(self) -> bool:
        return self.state not in OPEN

    @property
    def run_id(self) -> str | None:
        return self.payload.get("run_id")

    @property
    def stage(self) -> str | None:
        return self.payload.get("stage")

    @property
    def sweep(self) -> int | None:
        return self.payload.get("sweep")


@dataclass(frozen=True)
class WorkerRow:
    """A worker that is said to run. `age` is seconds since its last heartbeat, by the wall clock of the store; a
    heartbeat in the future was made before somebody set that clock back, and says nothing."""

    worker_id: str
    host: str
    pid: int
    process: str
    device: str
    state: Literal["starting", "idle", "busy"]
    started: float
    heartbeat: float
    age: float

    @property
    def alive(self) -> bool:
        return -FUTURE_SECONDS < self.age < STALE_SECONDS


class Store(RunStore):
    """Every query on jobs, events and workers; those on runs are inherited. Raises CompresslabError."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sweeps = SweepStore(self.database)
        self.votes = VoteStore(self.database)
        self.people = PeopleStore(self.database)
        self.retention = Retention(self.database)

    # -- jobs: submitting and watching --------------------------------------------------

    def create_job(
        self,
        kind: str,
        payload: str,
        *,
        priority: int,
        owner: str = "",
        live: bool = False,
        most: int | None = None,
        among: Iterable[int] = (),
    ) -> int:
        """Returns the job's number. A live job ends the owner's live jobs of its kind, in the same transaction, and
        has its turn only while the owner renews it. Raises BadInput where the owner has `most` open jobs already,
        `among` those of these priorities."""
        columns: dict[str, Any] = {"kind": kind, "payload": payload, "owner": owner, "live": live, "priority": priority}
        columns |= {"state": "queued", "created": self.database.now}
        if live and owner:
            columns["renewed"] = self.database.now
        row = select(*(literal(value) if isinstance(value, str | int) else value for value in columns.values()))
        row = row if most is None else row.where(self._count_of(owner, among).scalar_subquery() < most)
        fresh = insert(JOBS).from_select(list(columns), row).returning(JOBS.c.id)
        with self.database.write() as connection:
            if live and owner:
                for statement in self._stop(SUPERSEDED, JOBS.c.owner == owner, JOBS.c.live, JOBS.c.kind == kind):
                    connection.execute(statement)
            number = connection.execute(fresh).scalar_one_or_none()
        if number is None:
            raise BadInput("job.too_many", most=most)
        return int(number)

    def renew(self, job_id: int) -> None:
        """Whoever waits for a live job is still there."""
        with self.database.write() as connection:
            connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(renewed=self.database.now))

    def end_of_absent(self) -> None:
        """Cancel the live jobs that nobody has looked for in a long while."""
        away = self.database.now - JOBS.c.renewed > AWAY_SECONDS
        with self.database.write() as connection:
            for statement in self._stop(LEFT, JOBS.c.state == "queued", away):
                connection.execute(statement)

    def count_open(self, owner: str, priorities: Iterable[int]) -> int:
        """Queued and running jobs of an owner."""
        with self.database.read() as connection:
            return int(connection.execute(self._count_of(owner, priorities)).scalar_one())

    def fetched(self, owner: str, seconds: float) -> list[int]:
        """Bytes of each download that an owner asked for in the last seconds and that was begun, or is still to be."""
        download = (JOBS.c.kind == "download", JOBS.c.owner == owner, JOBS.c.created > self.database.now - seconds)
        begun = or_(JOBS.c.started.is_not(None), JOBS.c.state.in_(OPEN))
        told = select(EVENTS.c.body).where(EVENTS.c.job_id == JOBS.c.id).order_by(EVENTS.c.seq.desc()).limit(1)
        with self.database.read() as connection:
            last = connection.execute(select(told.scalar_subquery()).where(*download, begun)).scalars().all()
        return [int(getattr(from_json(body), "done", 0)) if body else 0 for body in last]

    def _count_of(self, owner: str, priorities: Iterable[int]) -> Select[Any]:
        mine = (JOBS.c.owner == owner, JOBS.c.state.in_(OPEN), JOBS.c.priority.in_(list(priorities)))
        return select(func.count()).select_from(JOBS).where(*mine)

    @property
    def _waits(self) -> Any:
        """Queued, and not a live job of somebody who has gone. One who comes back finds it where it was; so a step of
        the clock costs a moment at most."""
        there = or_(JOBS.c.renewed.is_(None), self.database.now - JOBS.c.renewed < PRESENT_SECONDS)
        return and_(JOBS.c.state == "queued", there)

    def request_cancel(self, job_id: int, reason: Message = STOPPED) -> None:
        """A queued job ends at once, a running one as soon as its worker hears of it, an ended one stays as it is."""
        self.job(job_id)
        with self.database.write() as connection:
            for statement in self._stop(reason, JOBS.c.id == job_id):
                connection.execute(statement)

    def stop_sweep(self, sweep_id: int, reason: Message = SWEEP_STOPPED) -> None:
        """Its jobs end as by `request_cancel`; what they have finished stays."""
        jobs = select(SWEEP_POINTS.c.job_id).where(
            SWEEP_POINTS.c.sweep_id == sweep_id, SWEEP_POINTS.c.job_id.isnot(None)
        )
        with self.database.write() as connection:
            for statement in self._stop(reason, JOBS.c.id.in_(jobs)):
                connection.execute(statement)

    def _stop(self, reason: Message, *which: Any) -> list[Any]:
        ended = {"state": "cancelled", "error": reason, "finished": self.database.now}
        return [
            update(JOBS).where(*which, JOBS.c.state == "queued").values(**ended),
            update(JOBS)
            .where(*which, JOBS.c.state == "running", JOBS.c.cancel_reason.is_(None))
            .values(cancel_reason=reason),
        ]

    def job(self, job_id: int) -> JobRow:
        with self.database.read() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).first()
        if row is None:
            raise BadInput("job.unknown", id=job_id)
        return _job(row)

    def jobs(self, states: Iterable[str] = OPEN, limit: int = 1000) -> list[JobRow]:
        """Newest first."""
        query = select(JOBS).where(JOBS.c.state.in_(list(states))).order_by(JOBS.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def running_longest(self) -> JobRow | None:
        """Of the running jobs, the one that others wait for: no live one, where there is another; the oldest."""
        query = select(JOBS).where(JOBS.c.state == "running").order_by(JOBS.c.live, JOBS.c.started).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _job(row)

    def queue_place(self, job_id: int) -> int:
        """How many jobs are done before this one, the running ones included; 0 when it is running or over."""
        job = self.job(job_id)
        if job.state != "queued":
            return 0
        earlier = or_(
            JOBS.c.state == "running",
            and_(
                self._waits,
                or_(JOBS.c.priority < job.priority, and_(JOBS.c.priority == job.priority, JOBS.c.id < job_id)),
            ),
        )
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(JOBS).where(earlier)).scalar_one())

    # -- jobs: working -------------------------------------------------------------------

    def next_live(self) -> JobRow | None:
        """The live job whose turn is next, of somebody who waits for it."""
        query = select(JOBS).where(self._waits, JOBS.c.live).order_by(JOBS.c.priority, JOBS.c.id).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _job(row)

    def live_since(self, seconds: float) -> bool:
        """Whether anybody submitted a live job in the last so many seconds."""
        last = select(JOBS.c.created).where(JOBS.c.live).order_by(JOBS.c.id.desc()).limit(1).scalar_subquery()
        with self.database.read() as connection:
            return bool(connection.execute(select(self.database.now - last < seconds)).scalar_one())

    def claim(self, worker_id: str, only: int | None = None) -> JobRow | None:
        """The next job, or that one if it still waits, now this worker's own; None where there is none. One statement:
        no two workers get the same."""
        which = self._waits if only is None else and_(self._waits, JOBS.c.id == only)
        waiting = select(JOBS.c.id).where(which).order_by(JOBS.c.priority, JOBS.c.id).limit(1)
        with self.database.read() as connection:  # the usual case, without a lock: nothing to do
            if connection.execute(waiting).first() is None:
                return None
        first = waiting.with_for_update(skip_locked=True).scalar_subquery()  # SQLite needs no row lock, writes none
        take = (
            update(JOBS)
            .where(JOBS.c.id == first, JOBS.c.state == "queued")
            .values(state="running", worker_id=worker_id, started=self.database.now)
            .returning(*JOBS.c)
        )
        with self.database.write() as connection:
            row = connection.execute(take).first()
        return None if row is None else _job(row)

    def finish(self, job_id: int, state: State, error: Message | None = None) -> bool:
        """Write down how a running job ended; False when it was no longer running."""
        ended = {"state": state, "error": error, "finished": self.database.now}
        with self.database.write() as connection:
            done = connection.execute(
                update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state == "running").values(**ended)
            )
        return bool(done.rowcount)

    def put_back(self, job_id: int, worker_id: str) -> None:
        """A job that its worker never began waits again where it stood; one that was asked to stop ends so."""
        mine = (JOBS.c.id == job_id, JOBS.c.state == "running", JOBS.c.worker_id == worker_id)
        stopped = {"state": "cancelled", "error": JOBS.c.cancel_reason, "finished": self.database.now}
        with self.database.write() as connection:
            connection.execute(update(JOBS).where(*mine, JOBS.c.cancel_reason.is_not(None)).values(**stopped))
            connection.execute(update(JOBS).where(*mine).values(state="queued", worker_id=None, started=None))

    def running_of(self, worker_id: str | None) -> list[JobRow]:
        query = select(JOBS).where(JOBS.c.state == "running", JOBS.c.worker_id == worker_id)
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    # -- events --------------------------------------------------------------------------

    def append_events(self, job_id: int, bodies: Sequence[str]) -> None:
        """Events as JSON, in order; they get the next numbers of their job, from 1 on."""
        if not bodies:
            return
        last = select(func.coalesce(func.max(EVENTS.c.seq), 0)).where(EVENTS.c.job_id == job_id)
        with self.database.write() as connection:
            start = connection.execute(last).scalar_one() + 1
            rows = [{"job_id": job_id, "seq": start + n, "body": body} for n, body in enumerate(bodies)]
            connection.execute(insert(EVENTS), rows)

    def events(self, job_id: int, after: int = 0) -> list[tuple[int, Event]]:
        """Events with a number greater than `after`, in order."""
        query = (
            select(EVENTS.c.seq, EVENTS.c.body)
            .where(EVENTS.c.job_id == job_id, EVENTS.c.seq > after)
            .order_by(EVENTS.c.seq)
        )
        with self.database.read() as connection:
            return [(row.seq, from_json(row.body)) for row in connection.execute(query)]

    def progress(self, job_id: int) -> Progress | None:
        """What the job last said of how far it is."""
        query = (
            select(EVENTS.c.body)
            .where(EVENTS.c.job_id == job_id, EVENTS.c.body.like('%"kind":"progress"%'))
            .order_by(EVENTS.c.seq.desc())
            .limit(1)
        )
        with self.database.read() as connection:
            body = connection.execute(query).scalar_one_or_none()
        event = None if body is None else from_json(body)
        return event if isinstance(event, Progress) else None

    def prune_events(self, keep: int = KEPT_LIVE_JOBS) -> None:
        """Forget what the live runs before the newest `keep` reported that came to an end, and those that gave way to
        newer ones: no one looks at them again. What models wrote stays."""
        drafts = (JOBS.c.live, JOBS.c.kind == "run")
        done = select(JOBS.c.id).where(*drafts, JOBS.c.state == "done").order_by(JOBS.c.id.desc()).limit(keep)
        kept = done.subquery()
        old = select(JOBS.c.id).where(*drafts, JOBS.c.state.not_in(OPEN), JOBS.c.id.not_in(select(kept.c.id)))
        with self.database.write() as connection:
            connection.execute(delete(EVENTS).where(EVENTS.c.job_id.in_(old)))

    # -- workers -------------------------------------------------------------------------

    def beat(self, worker_id: str, *, host: str, pid: int, device: str, state: str, process: str = "") -> None:
        """A sign of life; the first one puts the worker on the list. `process` tells it from later ones of its pid."""
        now = self.database.now
        fields = {"host": host, "pid": pid, "process": process, "device": device, "state": state, "heartbeat": now}
        with self.database.write() as connection:
            known = connection.execute(update(WORKERS).where(WORKERS.c.worker_id == worker_id).values(**fields))
            if not known.rowcount:
                connection.execute(insert(WORKERS).values(worker_id=worker_id, started=now, **fields))

    def forget_worker(self, worker_id: str) -> None:
        with self.database.write() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.worker_id == worker_id))

    def workers(self, *, stale: bool = False) -> list[WorkerRow]:
        """Those alive, or with `stale` all that have not been forgotten; the longest-serving first."""
        age = (self.database.now - WORKERS.c.heartbeat).label("age")
        with self.database.read() as connection:
            rows = [WorkerRow(**row._mapping) for row in connection.execute(select(*WORKERS.c, age))]
        return sorted((row for row in rows if stale or row.alive), key=lambda row: row.started)

    def orphans(self) -> list[JobRow]:
        """Running jobs whose worker is not even on the list."""
        known = select(WORKERS.c.worker_id)
        query = select(JOBS).where(JOBS.c.state == "running", not_(JOBS.c.worker_id.in_(known)))
        with self.database.read() as connection:
            return [_job(row) for row in connection.execute(query)]


def _job(row: Row[Any]) -> JobRow:
    fields = dict(row._mapping)
    return JobRow(**fields | {"payload": json.loads(fields["payload"])})
