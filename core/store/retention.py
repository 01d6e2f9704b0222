"""How long the store keeps what nobody asks for any more. Runs, and what models wrote, stay until they are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compresslab.store.database import Database
from compresslab.store.tables import EVENTS, JOBS, SWEEP_POINTS
from sqlalchemy import and_, delete, func, or_, select

DAY = 24 * 3600.0
EVENTS_DAYS = 30  # progress of a job that has ended; its result is in the run's record
LIVE_DAYS, JOBS_DAYS = 7, 180  # a draft of a slider, and any other job
ENDED = ("done", "failed", "cancelled")
OLD_AT_ONCE = 2000  # jobs forgotten in one transaction: others wait for it


@dataclass(frozen=True)
class Old:
    """Rows that are kept for longer than anybody needs them."""

    events: int
    jobs: int


class Retention:
    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> Old:
        with self._database.read() as connection:
            events = connection.execute(
                select(func.count()).select_from(EVENTS).where(EVENTS.c.job_id.in_(select(JOBS.c.id).where(self._told)))
            ).scalar_one()
            jobs = connection.execute(select(func.count()).select_from(JOBS).where(self._past)).scalar_one()
        return Old(int(events), int(jobs))

    def forget(self) -> None:
        """Those of the oldest jobs first, so many at a time."""
        told = select(JOBS.c.id).where(self._told, select(EVENTS.c.seq).where(EVENTS.c.job_id == JOBS.c.id).exists())
        past = select(JOBS.c.id).where(self._past)
        with self._database.read() as connection:
            silent = list(connection.execute(told.order_by(JOBS.c.id).limit(OLD_AT_ONCE)).scalars())
            gone = list(connection.execute(past.order_by(JOBS.c.id).limit(OLD_AT_ONCE)).scalars())
        if silent or gone:
            with self._database.write() as connection:
                connection.execute(delete(EVENTS).where(EVENTS.c.job_id.in_([*silent, *gone])))
                connection.execute(delete(JOBS).where(JOBS.c.id.in_(gone)))

    def shrink(self) -> None:
        """Forget all of it, and give the room back to the disk."""
        while self.count() != Old(0, 0):
            self.forget()
        self._database.shrink()

    @property
    def _told(self) -> Any:
        """Jobs of which the events say nothing that is not written elsewhere; what models wrote is nowhere else."""
        return and_(self._ended_before(EVENTS_DAYS), or_(JOBS.c.kind != "generate", JOBS.c.state != "done"))

    @property
    def _past(self) -> Any:
        """No point of a sweep shows them, and no words hang on them."""
        shown = select(SWEEP_POINTS.c.job_id).where(SWEEP_POINTS.c.job_id.is_not(None))
        live = and_(JOBS.c.live, self._ended_before(LIVE_DAYS))
        wrote = and_(JOBS.c.kind == "generate", JOBS.c.state == "done")
        return and_(or_(live, self._ended_before(JOBS_DAYS)), ~wrote, JOBS.c.id.not_in(shown))

    def _ended_before(self, days: float) -> Any:
        return and_(JOBS.c.state.in_(ENDED), JOBS.c.finished < self._database.now - days * DAY)
