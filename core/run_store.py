"""Finished runs in the store: kept, listed, taken out of sight and back."""

from __future__ import annotations

import shutil

from sqlalchemy import delete, func, insert, select, update

from core.database import Database
from core.errors import BadInput
from core.paths import run_folder
from core.results import RunRecord
from core.tables import RUNS

DAY = 24 * 3600.0


class RunStore:
    """Queries on the table of runs."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def save_run(self, record: RunRecord, job_id: int | None = None) -> None:
        """Raises RunFailed for a record that could not be read back."""
        text = record.to_json()
        row = {"run_id": record.run_id, "job_id": job_id, "model": record.model, "created": record.created}
        with self.database.write() as connection:
            connection.execute(delete(RUNS).where(RUNS.c.run_id == record.run_id))
            connection.execute(insert(RUNS).values(record=text, **row))

    def runs(self, limit: int = 1000) -> list[RunRecord]:
        """Newest first, without the deleted ones."""
        query = (
            select(RUNS.c.record)
            .where(RUNS.c.deleted.is_(None))
            .order_by(RUNS.c.created.desc(), RUNS.c.run_id)
            .limit(limit)
        )
        with self.database.read() as connection:
            texts = connection.execute(query).scalars().all()
        return [RunRecord.model_validate_json(text) for text in texts]

    def run(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it; raises BadInput."""
        query = select(RUNS.c.record).where(RUNS.c.deleted.is_(None))
        starts = RUNS.c.run_id.startswith(run_id, autoescape=True)
        with self.database.read() as connection:
            exact = connection.execute(query.where(RUNS.c.run_id == run_id)).scalars().all()
            found = exact or connection.execute(query.where(starts).limit(2)).scalars().all()
        if not found or not run_id:
            raise BadInput(f"There is no run {run_id!r}; `compresslab runs` lists them.")
        if len(found) > 1:
            raise BadInput(f"Several runs begin with {run_id!r}; give more of the id.")
        return RunRecord.model_validate_json(found[0])

    def models_used(self) -> list[str]:
        """Models of the runs in sight, the one used last first."""
        query = (
            select(RUNS.c.model)
            .where(RUNS.c.deleted.is_(None))
            .group_by(RUNS.c.model)
            .order_by(func.max(RUNS.c.created).desc())
        )
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def delete_run(self, run_id: str) -> None:
        """Out of sight; `restore_run` undoes it until `purge_runs` comes by."""
        self._mark(run_id, self.database.now)

    def restore_run(self, run_id: str) -> None:
        self._mark(run_id, None)

    def _mark(self, run_id: str, deleted: object) -> None:
        with self.database.write() as connection:
            done = connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(deleted=deleted))
        if not done.rowcount:
            raise BadInput(f"There is no run {run_id!r}; `compresslab runs` lists them.")

    def purge_runs(self, older_than: float = DAY) -> list[str]:
        """Remove for good, with their folders, the runs deleted more than so many seconds ago."""
        old = select(RUNS.c.run_id).where(RUNS.c.deleted <= self.database.now - older_than)
        with self.database.read() as connection:
            run_ids = list(connection.execute(old).scalars())
        for run_id in run_ids:
            remove_folder(run_id)
        if run_ids:
            with self.database.write() as connection:
                connection.execute(delete(RUNS).where(RUNS.c.run_id.in_(run_ids), RUNS.c.deleted.is_not(None)))
        return run_ids


def remove_folder(run_id: str) -> None:
    """The packed weights of a run, and what a process that was killed had written of them."""
    folder = run_folder(run_id)
    for path in (folder, folder.with_name(folder.name + ".part")):
        shutil.rmtree(path, ignore_errors=True)
