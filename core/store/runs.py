"""Finished runs in the store: kept, listed, taken out of sight and back.

A list reads columns alone, and the database counts, filters, sorts and cuts it; a record is read when it is opened.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from compresslab.errors import BadInput
from compresslab.files.atomic import parts_of
from compresslab.files.paths import run_folder
from compresslab.records.results import ExportRecord, RunRecord, RunSummary
from compresslab.records.run_row import RunRow
from compresslab.store.database import Database
from compresslab.store.tables import JOBS, NO_TAGS, RECORDS, RUNS
from sqlalchemy import ColumnElement, Select, Text, delete, func, insert, or_, select, type_coerce, update

DAY = 24 * 3600.0
FETCHED = 200  # records at a time, so that a list of many needs little memory
Order = Literal["newest", "smallest", "best"]
MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 4000


@dataclass(frozen=True)
class Annotation:
    """What people wrote on a run."""

    tags: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class RunFilter:
    """What final runs must have to be listed; empty: whatever. `text` stands in the id, the model, a tag or the note,
    whether in capitals or not; or the recipe has one of `steps`, those that a language says with that text."""

    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str = ""
    steps: tuple[str, ...] = ()

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        yield from (RUNS.c.deleted.is_(None), RUNS.c.stage == "final")
        if self.models:
            yield RUNS.c.model.in_(self.models)
        if self.text:
            inside = (RUNS.c.run_id, RUNS.c.model, RUNS.c.note)
            somewhere = [column.icontains(self.text, autoescape=True) for column in inside]
            somewhere.append(TAGS.icontains(_in_json(self.text)[1:-1], autoescape=True))
            yield or_(*somewhere, RUNS.c.steps.in_(self.steps))
        for tag in self.tags:  # LIKE would take one in other letters for it, on some databases
            yield func.replace(TAGS, _in_json(tag), "") != TAGS


@dataclass(frozen=True)
class Labels:
    """What the runs in the list can be told apart by: models, the one used last first, and tags in their order."""

    models: list[str]
    tags: list[str]


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


EVERY = RunFilter()
TAGS = type_coerce(RUNS.c.tags, Text)  # as they are written
LISTED = tuple(RUNS.c[name] for name in RunRow._fields)
NEWEST = (RUNS.c.created.desc(), RUNS.c.run_id)
ORDERS: dict[Order, tuple[ColumnElement[Any], ...]] = {
    "newest": NEWEST,
    "smallest": (RUNS.c.size_share.is_(None), RUNS.c.size_share, *NEWEST),
    "best": (RUNS.c.perplexity_change.is_(None), RUNS.c.perplexity_change, *NEWEST),
}


class RunStore:
    """Queries on the table of runs."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def save_run(self, record: RunRecord, job_id: int | None = None) -> None:
        """Raises RunFailed for a record that could not be read back."""
        text = record.to_json()
        row = RunRow.of(record)._asdict() | {"job_id": job_id, "named_files": record.named_files}
        with self.database.write() as connection:
            connection.execute(delete(RUNS).where(RUNS.c.run_id == record.run_id))
            owner = func.coalesce(select(JOBS.c.owner).where(JOBS.c.id == job_id).scalar_subquery(), "")
            connection.execute(insert(RUNS).values(row | {"owner": owner}))
            connection.execute(insert(RECORDS).values(run_id=record.run_id, record=text))

    def add_export(self, run_id: str, export: ExportRecord) -> None:
        """Write into a run's record that it was exported. Raises BadInput where the run is gone."""
        with self.database.write() as connection:
            kept = select(RECORDS.c.record).where(RECORDS.c.run_id == run_id)
            text = connection.execute(kept).scalar_one_or_none()
            if text is None:
                raise BadInput("run.gone", run=run_id, folder=export.folder)
            record = RunRecord.model_validate_json(text).with_export(export)
            connection.execute(update(RECORDS).where(RECORDS.c.run_id == run_id).values(record=record.to_json()))

    # -- lists ---------------------------------------------------------------------------

    def rows(
        self, which: RunFilter = EVERY, order: Order = "newest", *, offset: int = 0, limit: int = 1000
    ) -> list[RunRow]:
        """Final ones without the deleted ones, so many from that place on."""
        query = select(*LISTED).where(*which.conditions()).order_by(*ORDERS[order]).offset(offset).limit(limit)
        return self._rows(query)

    def rows_by_id(self, run_ids: Iterable[str]) -> list[RunRow]:
        """Those that are there, in no order: drafts of sweeps too."""
        return self._rows(select(*LISTED).where(RUNS.c.run_id.in_(list(run_ids)), RUNS.c.deleted.is_(None)))

    def _rows(self, query: Select[Any]) -> list[RunRow]:
        with self.database.read() as connection:
            return [RunRow._make(row) for row in connection.execute(query).all()]

    def count(self, which: RunFilter = EVERY) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(RUNS).where(*which.conditions())).scalar_one()

    def steps_used(self) -> list[str]:
        """The steps of all recipes in the list, as JSON, each once."""
        return self._values(select(RUNS.c.steps).where(*EVERY.conditions()).distinct())

    def labels(self) -> Labels:
        query = (
            select(RUNS.c.model, RUNS.c.tags)
            .where(*EVERY.conditions())
            .group_by(RUNS.c.model, RUNS.c.tags)
            .order_by(func.max(RUNS.c.created).desc())
        )
        with self.database.read() as connection:
            found = connection.execute(query).all()
        return Labels(
            list(dict.fromkeys(row.model for row in found)), sorted({tag for row in found for tag in row.tags})
        )

    def _values(self, query: Select[Any]) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    # -- records -------------------------------------------------------------------------

    def runs(self, limit: int = 1000) -> list[RunRecord]:
        """Final ones, newest first, without the deleted ones."""
        return _read(self._records(EVERY, limit))

    def each_run(self, limit: int = 1000) -> Iterator[RunRecord]:
        """As `runs`, one after the other."""
        return map(RunRecord.model_validate_json, self._records(EVERY, limit))

    def summaries(self, which: RunFilter = EVERY, limit: int | None = None) -> Iterator[RunSummary]:
        """Of those in the list, one after the other, newest first."""
        return map(RunSummary.model_validate_json, self._records(which, limit))

    def _records(self, which: RunFilter, limit: int | None) -> Iterator[str]:
        query = select(RECORDS.c.record).join(RUNS).where(*which.conditions()).order_by(*NEWEST).limit(limit)
        with self.database.read() as connection:
            yield from connection.execution_options(yield_per=FETCHED).execute(query).scalars()

    def run(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it; raises BadInput."""
        query = select(RECORDS.c.record).join(RUNS).where(RUNS.c.deleted.is_(None))
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
        return self._values(query)

    def runs_by_id(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Those that are there, in no order: drafts of sweeps too."""
        wanted = (RUNS.c.run_id.in_(list(run_ids)), RUNS.c.deleted.is_(None))
        return _read(self._values(select(RECORDS.c.record).join(RUNS).where(*wanted)))

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
        query = select(RUNS.c.run_id, RUNS.c.tags, RUNS.c.note).where((RUNS.c.tags != NO_TAGS) | (RUNS.c.note != ""))
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return {row.run_id: Annotation(row.tags, row.note) for row in rows}

    def annotate(self, run_id: str, tags: Iterable[str], note: str) -> None:
        """Tags and note take the place of those before. Raises BadInput for what is too long, or an unknown run."""
        kept = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
        if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
            raise BadInput("run.tags", most=MOST_TAGS, longest=LONGEST_TAG)
        if len(note) > LONGEST_NOTE:
            raise BadInput("run.note", most=LONGEST_NOTE, count=len(note))
        self._set(run_id, tags=kept, note=note.strip())

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


def _read(texts: Iterable[str]) -> list[RunRecord]:
    """Many at once. Collecting garbage meanwhile would walk all that was read so far again and again, for nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return [RunRecord.model_validate_json(text) for text in texts]
    finally:
        if collects:
            gc.enable()


def remove_folder(run_id: str) -> None:
    """The packed weights of a run, and what a process that was killed had written of them."""
    folder = run_folder(run_id)
    for path in (folder, *parts_of(folder)):
        shutil.rmtree(path, ignore_errors=True)
