"""Sweeps in the store: their points, which job does each, and which run shows what came of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.store.database import Database
from compresslab.store.tables import JOBS, RUNS, SWEEP_POINTS, SWEEPS
from sqlalchemy import Connection, Row, delete, insert, select, update

DAY = 24 * 3600.0
POINT = SWEEP_POINTS.c

PointState = Literal["aside", "waiting", "queued", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class SweepRow:
    """A sweep as the store has it; `created` is seconds since 1970, UTC."""

    id: int
    spec: dict[str, Any]
    owner: str
    created: float


@dataclass(frozen=True)
class NewPoint:
    """A point before it is kept. Without a recipe, `aside` says why there is none."""

    coordinates: Sequence[Any]
    recipe: dict[str, Any] | None
    recipe_hash: str | None
    aside: Message | None


@dataclass(frozen=True)
class PointRow:
    """A point, and how far it is. `run_id` is the best run of its recipe that there is, whoever made it."""

    place: int
    coordinates: tuple[Any, ...]
    recipe_hash: str | None
    aside: Message | None
    error: Message | None
    job_id: int | None
    job_state: str | None
    run_id: str | None
    run_stage: str | None
    done: bool  # measured as fully as the sweep asks

    @property
    def trouble(self) -> Message | None:
        """Why it has no result, or why it could not be measured in full after its draft."""
        if self.state in ("failed", "stopped"):
            return self.error
        return self.error if self.state == "done" and self.job_state == "failed" else self.aside

    @property
    def state(self) -> PointState:
        if self.aside is not None:
            return "aside"
        if self.job_state == "queued" or self.job_state == "running":
            return "queued" if self.job_state == "queued" else "running"
        if self.done:
            return "done"
        if self.error is not None:
            return "stopped" if self.job_state == "cancelled" else "failed"
        return "waiting"


class SweepStore:
    """Every query on sweeps. Raises CompresslabError."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- sweeps ----------------------------------------------------------------------------

    def create(self, spec: str, points: Sequence[NewPoint], owner: str = "") -> int:
        """Returns the sweep's number; its points get places from 0 on."""
        fresh = insert(SWEEPS).values(spec=spec, owner=owner, created=self.database.now).returning(SWEEPS.c.id)
        with self.database.write() as connection:
            sweep_id = int(connection.execute(fresh).scalar_one())
            rows = [{"sweep_id": sweep_id, "place": place, **_columns(point)} for place, point in enumerate(points)]
            connection.execute(insert(SWEEP_POINTS), rows)
        return sweep_id

    def sweeps(self, limit: int = 100) -> list[SweepRow]:
        """Newest first, without the deleted ones."""
        query = select(SWEEPS).where(SWEEPS.c.deleted.is_(None)).order_by(SWEEPS.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [_sweep(row) for row in connection.execute(query)]

    def sweep(self, sweep_id: int) -> SweepRow:
        query = select(SWEEPS).where(SWEEPS.c.id == sweep_id, SWEEPS.c.deleted.is_(None))
        with self.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise BadInput("sweep.unknown", id=sweep_id)
        return _sweep(row)

    def owner(self, sweep_id: int) -> str:
        """Who asked for it, of a deleted one too."""
        with self.database.read() as connection:
            found = connection.execute(select(SWEEPS.c.owner).where(SWEEPS.c.id == sweep_id)).scalar_one_or_none()
        if found is None:
            raise BadInput("sweep.unknown", id=sweep_id)
        return str(found)

    def mark(self, sweep_id: int, *, deleted: bool) -> None:
        """Out of sight, or back; for good a day later, when `purge` comes by."""
        now = self.database.now if deleted else None
        with self.database.write() as connection:
            done = connection.execute(update(SWEEPS).where(SWEEPS.c.id == sweep_id).values(deleted=now))
        if not done.rowcount:
            raise BadInput("sweep.unknown", id=sweep_id)

    def purge(self, older_than: float = DAY) -> None:
        """Remove for good the sweeps deleted so many seconds ago, and the drafts that no sweep shows any more."""
        old = select(SWEEPS.c.id).where(SWEEPS.c.deleted <= self.database.now - older_than)
        with self.database.read() as connection:
            gone = list(connection.execute(old).scalars())
        if not gone:
            return
        shown = select(POINT.recipe_hash).where(POINT.recipe_hash.is_not(None))
        with self.database.write() as connection:
            connection.execute(delete(SWEEP_POINTS).where(POINT.sweep_id.in_(gone)))
            connection.execute(delete(SWEEPS).where(SWEEPS.c.id.in_(gone)))
            connection.execute(delete(RUNS).where(RUNS.c.stage == "draft", RUNS.c.recipe_hash.not_in(shown)))

    # -- points ----------------------------------------------------------------------------

    def points(self, sweep_id: int, files: Collection[str] = ()) -> list[PointRow]:
        """In the order of the work. Runs count that were made from `files`, model and texts as they are now, or from
        nobody knows what; all of them where none are given."""
        wants_final = self.sweep(sweep_id).spec.get("stage") == "final"
        columns = (POINT.place, POINT.coordinates, POINT.recipe_hash, POINT.aside, POINT.error, POINT.job_id)
        query = (
            select(*columns, JOBS.c.state.label("job_state"), JOBS.c.error.label("job_error"))
            .join_from(SWEEP_POINTS, JOBS, POINT.job_id == JOBS.c.id, isouter=True)
            .where(POINT.sweep_id == sweep_id)
            .order_by(POINT.place)
        )
        with self.database.read() as connection:
            runs = _best_runs(connection, sweep_id, files)
            return [_point(row, runs, wants_final) for row in connection.execute(query)]

    def recipes(self, sweep_id: int, places: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Plain data by place, of the points that have a recipe."""
        wanted = (POINT.sweep_id == sweep_id, POINT.place.in_(list(places)), POINT.recipe.is_not(None))
        with self.database.read() as connection:
            rows = connection.execute(select(POINT.place, POINT.recipe).where(*wanted)).all()
        return {place: json.loads(recipe) for place, recipe in rows}

    def note_error(self, sweep_id: int, place: int, error: Message | None) -> None:
        """How a point that no job does failed; None once it did not."""
        with self.database.write() as connection:
            connection.execute(_of(sweep_id, place).values(error=error, job_id=None))

    def enqueue(self, sweep_id: int, payloads: Mapping[int, str], priority: int, owner: str) -> None:
        """A job for each of these places, all in one transaction."""
        with self.database.write() as connection:
            for place, payload in payloads.items():
                job_id = self._new_job(connection, payload, priority, owner)
                connection.execute(_of(sweep_id, place).values(job_id=job_id, error=None, put_back=0))

    def put_back(self, job_id: int, payload: str, priority: int, most: int) -> None:
        """Another job for the point of this one, unless that was done so often already or the sweep is gone."""
        found = (
            select(POINT.sweep_id, POINT.place, POINT.put_back, SWEEPS.c.owner)
            .join(SWEEPS, SWEEPS.c.id == POINT.sweep_id)
            .where(POINT.job_id == job_id, POINT.put_back < most, SWEEPS.c.deleted.is_(None))
        )
        with self.database.write() as connection:
            row = connection.execute(found).first()
            if row is not None:
                fresh = self._new_job(connection, payload, priority, row.owner)
                connection.execute(_of(row.sweep_id, row.place).values(job_id=fresh, put_back=row.put_back + 1))

    def _new_job(self, connection: Connection, payload: str, priority: int, owner: str) -> int:
        fields = {"kind": "run", "payload": payload, "owner": owner, "live": False, "priority": priority}
        fresh = insert(JOBS).values(**fields, state="queued", created=self.database.now)
        return int(connection.execute(fresh.returning(JOBS.c.id)).scalar_one())


def _of(sweep_id: int, place: int) -> Any:
    return update(SWEEP_POINTS).where(POINT.sweep_id == sweep_id, POINT.place == place)


def _columns(point: NewPoint) -> dict[str, Any]:
    return {
        "coordinates": json.dumps(list(point.coordinates)),
        "recipe": None if point.recipe is None else json.dumps(point.recipe),
        "recipe_hash": point.recipe_hash,
        "aside": point.aside,
    }


def _best_runs(connection: Connection, sweep_id: int, files: Collection[str]) -> dict[str, tuple[str, str]]:
    """(run, stage) by the recipe's hash: a final run before a draft, the newer before the older."""
    hashes = select(POINT.recipe_hash).where(POINT.sweep_id == sweep_id, POINT.recipe_hash.is_not(None))
    query = (
        select(RUNS.c.recipe_hash, RUNS.c.run_id, RUNS.c.stage)
        .where(RUNS.c.recipe_hash.in_(hashes), RUNS.c.deleted.is_(None))
        .order_by(RUNS.c.stage == "final", RUNS.c.created)
    )
    if files:
        query = query.where(RUNS.c.named_files.in_([*files, ""]))
    return {row.recipe_hash: (row.run_id, row.stage) for row in connection.execute(query)}


def _point(row: Any, runs: dict[str, tuple[str, str]], wants_final: bool) -> PointRow:
    fields = dict(row._mapping)
    run_id, run_stage = runs.get(row.recipe_hash, (None, None))
    fields["coordinates"] = tuple(json.loads(row.coordinates))
    fields["error"] = fields.pop("job_error") or row.error
    done = run_stage == "final" or (run_stage == "draft" and not wants_final)
    return PointRow(**fields, run_id=run_id, run_stage=run_stage, done=done)


def _sweep(row: Row[Any]) -> SweepRow:
    return SweepRow(row.id, json.loads(row.spec), row.owner, row.created)
