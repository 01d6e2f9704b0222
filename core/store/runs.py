"""Finished runs in the store: kept, listed, taken out of sight and back."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from compresslab.errors import BadInput
from compresslab.files.atomic import parts_of
from compresslab.files.paths import run_folder
from compresslab.records.results import ExportRecord, RunNumbers, RunRecord, RunSummary
from compresslab.store.database import Database
from compresslab.store.tables import JOBS, RUNS
from sqlalchemy import delete, func, insert, select, update

DAY = 24 * 3600.0
FETCHED = 200  # records at a time, so that a list of many needs little memory
R = TypeVar("R", bound=RunNumbers)
MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 4000


@dataclass(frozen=True)
class Annotation:
    """What people wrote on a run."""

    tags: tuple[str, ...] = ()
    note: str = ""


class RunStore:
    """Queries on the table of runs."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def save_run(self, record: RunRecord, job_id: int | None = None) -> None:
        """Raises RunFailed for a record that could not be read back."""
        text = record.to_json()
        row = {"run_id": record.run_id, "job_id": job_id, "model": record.model, "created": record.created}
        row |= {"recipe_hash": record.recipe_hash, "stage": record.stage}
        row["named_files"] = record.named_files
        with self.database.write() as connection:
            connection.execute(delete(RUNS).where(RUNS.c.run_id == record.run_id))
            owner = func.coalesce(select(JOBS.c.owner).where(JOBS.c.id == job_id).scalar_subquery(), "")
            connection.execute(insert(RUNS).values(record=text, owner=owner, **row))

    def add_export(self, run_id: str, export: ExportRecord) -> None:
        """Write into a run's record that it was exported. Raises BadInput where the run is gone."""
        with self.database.write() as connection:
            text = connection.execute(select(RUNS.c.record).where(RUNS.c.run_id == run_id)).scalar_one_or_none()
            if text is None:
                raise BadInput("run.gone", run=run_id, folder=export.folder)
            record = RunRecord.model_validate_json(text).with_export(export)
            connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(record=record.to_json()))

    def runs(self, limit: int = 1000) -> list[RunRecord]:
        """Final ones, newest first, without the deleted ones."""
        return _read(RunRecord, self._newest(limit))

    def each_run(self, limit: int = 1000) -> Iterator[RunRecord]:
        """As `runs`, one after the other."""
        return map(RunRecord.model_validate_json, self._newest(limit))

    def numbers(self, limit: int = 1000) -> Iterator[RunNumbers]:
        """As `each_run`, many times as fast."""
        return map(RunNumbers.model_validate_json, self._newest(limit))

    def summaries(self, limit: int = 1000) -> list[RunSummary]:
        """As `runs`, in a fraction of the time and the memory."""
        return _read(RunSummary, self._newest(limit))

    def _newest(self, limit: int) -> Iterator[str]:
        query = (
            select(RUNS.c.record)
            .where(RUNS.c.deleted.is_(None), RUNS.c.stage == "final")
            .order_by(RUNS.c.created.desc(), RUNS.c.run_id)
            .limit(limit)
        )
        with self.database.read() as connection:
            yield from connection.execution_options(yield_per=FETCHED).execute(query).scalars()

    def run(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it; raises BadInput."""
        query = select(RUNS.c.record).where(RUNS.c.deleted.is_(None))
        starts = RUNS.c.run_id.startswith(run_id, autoescape=True)
        with self.database.read() as connection:
            exact = connection.execute(query.where(RUNS.c.run_id == run_id)).scalars().all()
            found = exact or connection.execute(query.where(starts).limit(2)).scalars().all()
        if not found or not run_id:
            raise BadInput("run.unknown", id=run_id)
        if len(found) > 1:
            raise BadInput("run.several", id=run_id)
        return RunRecord.model_validate_json(found[0])

    def run_of(self, recipe_hash: str, files: str) -> str | None:
        """The newest final run of a recipe, made from these files or from nobody knows what; None where there is none.
        Without `files` any will do."""
        query = (
            select(RUNS.c.run_id)
            .where(RUNS.c.recipe_hash == recipe_hash, RUNS.c.deleted.is_(None), RUNS.c.stage == "final")
            .order_by(RUNS.c.created.desc(), RUNS.c.run_id)
            .limit(1)
        )
        if files:
            query = query.where(RUNS.c.named_files.in_([files, ""]))
        with self.database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def owners(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Who asked for these runs, the deleted ones too; those that nobody did are not among them."""
        query = select(RUNS.c.run_id, RUNS.c.owner).where(RUNS.c.run_id.in_(list(run_ids)), RUNS.c.owner != "")
        with self.database.read() as connection:
            return {row.run_id: row.owner for row in connection.execute(query)}

    def run_ids(self, model: str, limit: int = 1000) -> list[str]:
        """Final runs of a model, newest first: what is read of them is for the caller to say."""
        query = (
            select(RUNS.c.run_id)
            .where(RUNS.c.deleted.is_(None), RUNS.c.stage == "final", RUNS.c.model == model)
            .order_by(RUNS.c.created.desc(), RUNS.c.run_id)
            .limit(limit)
        )
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def runs_by_id(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Those that are there, in no order: drafts of sweeps too."""
        return _read(RunRecord, self._texts(run_ids))

    def numbers_by_id(self, run_ids: Iterable[str]) -> list[RunNumbers]:
        """As `runs_by_id`, many times as fast."""
        return _read(RunNumbers, self._texts(run_ids))

    def _texts(self, run_ids: Iterable[str]) -> Sequence[str]:
        query = select(RUNS.c.record).where(RUNS.c.run_id.in_(list(run_ids)), RUNS.c.deleted.is_(None))
        with self.database.read() as connection:
            return connection.execute(query).scalars().all()

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

    def annotations(self) -> dict[str, Annotation]:
        """What people wrote on runs, by the run's id; those that nobody wrote on are not among them."""
        query = select(RUNS.c.run_id, RUNS.c.tags, RUNS.c.note).where((RUNS.c.tags != "[]") | (RUNS.c.note != ""))
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return {row.run_id: Annotation(tuple(json.loads(row.tags)), row.note) for row in rows}

    def annotate(self, run_id: str, tags: Iterable[str], note: str) -> None:
        """Tags and note take the place of those before. Raises BadInput for what is too long, or an unknown run."""
        kept = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
        if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
            raise BadInput("run.tags", most=MOST_TAGS, longest=LONGEST_TAG)
        if len(note) > LONGEST_NOTE:
            raise BadInput("run.note", most=LONGEST_NOTE, count=len(note))
        self._set(run_id, tags=json.dumps(kept, ensure_ascii=False), note=note.strip())

    def delete_run(self, run_id: str) -> None:
        """Out of sight; `restore_run` undoes it until `purge_runs` comes by."""
        self._set(run_id, deleted=self.database.now)

    def restore_run(self, run_id: str) -> None:
        self._set(run_id, deleted=None)

    def _set(self, run_id: str, **columns: object) -> None:
        with self.database.write() as connection:
            done = connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(**columns))
        if not done.rowcount:
            raise BadInput("run.unknown", id=run_id)

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


def _read(kind: type[R], texts: Iterable[str]) -> list[R]:
    """Many at once. Collecting garbage meanwhile would walk all that was read so far again and again, for nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return [kind.model_validate_json(text) for text in texts]
    finally:
        if collects:
            gc.enable()


def remove_folder(run_id: str) -> None:
    """The packed weights of a run, and what a process that was killed had written of them."""
    folder = run_folder(run_id)
    for path in (folder, *parts_of(folder)):
        shutil.rmtree(path, ignore_errors=True)
