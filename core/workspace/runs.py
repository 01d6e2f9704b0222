"""Finished runs: listed, read, compared, tagged, deleted and brought back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import Measurement, RunRecord, RunSummary
from compresslab.records.run_row import RunRow
from compresslab.store import Store
from compresslab.store.runs import EVERY, Annotation, Labels, Order, RunFilter
from compresslab.work import visitors
from compresslab.work.visitors import HERE, Visitor


class Runs:
    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self, limit: int = 1000) -> list[RunRecord]:
        """Newest first."""
        return self._store.runs(limit)

    def each(self, limit: int = 1000) -> Iterator[RunRecord]:
        """As `all`, one after the other."""
        return self._store.each_run(limit)

    def rows(
        self, which: RunFilter = EVERY, order: Order = "newest", *, offset: int = 0, limit: int = 1000
    ) -> list[RunRow]:
        """What a list says of each, so many from that place on: thousands of them in the time of a few records."""
        return self._store.rows(which, order, offset=offset, limit=limit)

    def rows_by_id(self, run_ids: Iterable[str]) -> list[RunRow]:
        """Of those that are there, in no order."""
        return self._store.rows_by_id(run_ids)

    def count(self, which: RunFilter = EVERY) -> int:
        """How many the list has."""
        return self._store.count(which)

    def summaries(self, which: RunFilter = EVERY, limit: int | None = None) -> Iterator[RunSummary]:
        """Newest first, one after the other, without what became of every weight."""
        return self._store.summaries(which, limit)

    def steps_used(self) -> list[str]:
        """The steps of all recipes, as JSON, each once."""
        return self._store.steps_used()

    def labels(self) -> Labels:
        """Models and tags of those in the list."""
        return self._store.labels()

    def find(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it. Raises BadInput."""
        return self._store.run(run_id)

    def by_id(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Those that are there, in no order."""
        return self._store.runs_by_id(run_ids)

    def of(self, recipe: Recipe) -> str | None:
        """The newest final run of a recipe on the model and texts as they are now; None where there is none."""
        return self._store.run_of(recipe.content_hash, named_files(recipe))

    def compare(self, run_ids: Iterable[str]) -> list[dict[str, Any]]:
        """One row a metric, one entry a run, and the baseline of the first run: values with their errors.

        Raises BadInput for an unknown run, or fewer than two.
        """
        records = [self.find(run_id) for run_id in run_ids]
        if len(records) < 2:
            raise BadInput("run.comparison")
        metrics = dict.fromkeys(m.metric for record in records for m in record.measurements)
        return [_row(metric, records) for metric in metrics]

    def annotations(self) -> dict[str, Annotation]:
        """Tags and notes, by the run's id."""
        return self._store.annotations()

    def refusal(self, run_ids: Iterable[str], by: Visitor) -> Message | None:
        """Why a visitor may not delete, restore or describe one of these runs; None where they may."""
        wanted = list(run_ids)
        owners = self._store.owners(wanted)
        reasons = (visitors.refusal(self._store, by, owner) for owner in {owners.get(one, "") for one in wanted})
        return next(filter(None, reasons), None)

    def _check(self, run_id: str, by: Visitor) -> None:
        visitors.check(self._store, by, self._store.owners([run_id]).get(run_id, ""))

    def annotate(self, run_id: str, tags: Iterable[str], note: str, *, by: Visitor = HERE) -> None:
        """Tags and a note in place of those before. Raises BadInput, also where it is not for this visitor to do."""
        self._check(run_id, by)
        self._store.annotate(run_id, tags, note)

    def delete(self, run_id: str, *, by: Visitor = HERE) -> None:
        """Out of sight at once, off the disk a day later: `restore` undoes it. Raises BadInput, as `annotate`."""
        self._check(run_id, by)
        self._store.delete_run(run_id)

    def restore(self, run_id: str, *, by: Visitor = HERE) -> None:
        """Raises BadInput, as `annotate`."""
        self._check(run_id, by)
        self._store.restore_run(run_id)


def _row(metric: str, records: list[RunRecord]) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": metric, "baseline": _cell(records[0].find(metric, "baseline"))}
    return row | {record.run_id: _cell(record.find(metric)) for record in records}


def _cell(measurement: Measurement | None) -> dict[str, Any] | None:
    if measurement is None:
        return None
    return {"value": measurement.value, "error": measurement.error, "unit": measurement.unit}
