"""The one façade: whatever the dashboard, the command line and a script can do, they do through it. No torch here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core import jobs, sensitivity_store, statistics_files
from core.allocation import allocate
from core.errors import BadInput
from core.estimate import Estimate, estimate
from core.events import Event
from core.generation_request import GenerateRequest
from core.jobs import GenerateJob, RunJob, SensitivityJob
from core.model_facts import ModelFacts, read_facts
from core.model_source import BUNDLED, locate
from core.packed_layout import file_bytes
from core.paths import store_url
from core.plan import Plan, make_plan
from core.recipe import Recipe
from core.results import Measurement, RunRecord, Stage
from core.sensitivity_table import SensitivityTable
from core.statistics_files import StatisticsEntry
from core.store import JobRow, Store, WorkerRow

if TYPE_CHECKING:
    from core.engine.session import Session

Report = Callable[[Event], None]


def new_run_id() -> str:
    return uuid.uuid4().hex[:10]


class Workspace:
    """Estimate, plan, run, submit, watch, compare, generate: on one store."""

    def __init__(self, url: str | None = None) -> None:
        self.store = Store(url or store_url())

    # -- models and recipes, nothing run ----------------------------------------------

    def models(self) -> list[str]:
        """The bundled model first, then what earlier runs used and what is still there."""
        names = [BUNDLED, *self.store.models_used()]
        return [name for name in dict.fromkeys(names) if _is_here(name)]

    def facts(self, model: str) -> ModelFacts:
        return read_facts(model)

    def plan(self, recipe: Recipe) -> Plan:
        """Raises BadInput where the recipe does not fit the model or itself."""
        return make_plan(recipe, read_facts(recipe.model))

    def estimate(self, recipe: Recipe) -> Estimate:
        """Exact bytes, and predicted quality where `sensitivity` knows the model."""
        plan = self.plan(recipe)
        return estimate(plan, sensitivity_store.find(recipe, plan.facts))

    def sensitivity(self, recipe: Recipe) -> SensitivityTable | None:
        """What is known of how sensitive the model is, best with the recipe's texts; None before it was measured."""
        return sensitivity_store.find(recipe, read_facts(recipe.model))

    def allocate(self, recipe: Recipe, *, budget_bytes: int | None = None, ratio: float | None = None) -> Recipe:
        """The recipe with exceptions matrix by matrix, of least predicted damage within so many bytes of the packed
        file, or so many times fewer than the baseline's. Raises BadInput where it can't be met."""
        plan = self.plan(recipe)
        table = sensitivity_store.find(recipe, plan.facts)
        if table is None:
            raise BadInput(f"{recipe.model} was not measured yet; `compresslab sensitivity` does it, once.")
        if ratio is not None:
            budget_bytes = int(file_bytes(plan.facts.weights) / ratio)
        if budget_bytes is None:
            raise BadInput("An allocation takes a budget in bytes or a ratio.")
        return allocate(plan, table, budget_bytes)

    def _check(self, recipe: Recipe) -> None:
        """Refuse nonsense before anything is loaded; a model that is still to be fetched is checked when it is here."""
        if locate(recipe.model).folder is not None:
            self.plan(recipe)

    # -- work in this process -----------------------------------------------------------

    @cached_property
    def _session(self) -> Session:
        from core.engine.session import Session

        return Session()

    def run(
        self,
        recipe: Recipe,
        report: Report = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
        stage: Stage = "final",
    ) -> RunRecord:
        """Compress and measure here and now; a final run is kept in the store. Raises CompresslabError."""
        self._check(recipe)
        record = self._session.run(recipe, run_id=new_run_id(), stage=stage, report=report, cancelled=cancelled)
        if stage == "final":
            self.store.save_run(record)
        return record

    def measure_sensitivity(
        self,
        recipe: Recipe,
        report: Report = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SensitivityTable:
        """Measure here and now, with the recipe's model and texts, and keep the table. Raises CompresslabError."""
        return sensitivity_store.measure(self._session, recipe, report, cancelled)

    def generate(
        self,
        request: GenerateRequest,
        report: Report,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Write every pane here and now; what they write arrives at `report`."""
        self._session.generate(request, report=report, cancelled=cancelled)

    # -- work in the queue ---------------------------------------------------------------

    def submit(self, recipe: Recipe, *, stage: Stage = "final", owner: str = "", live: bool = False) -> int:
        """Put a run into the queue, once it is known to make sense; returns the job's number.

        A live job takes the place of the owner's live job before it.
        """
        self._check(recipe)
        job = RunJob(recipe=recipe.to_dict(), stage=stage, run_id=new_run_id())
        return jobs.submit(self.store, job, owner=owner, live=live)

    def submit_generation(self, request: GenerateRequest, *, owner: str = "") -> int:
        """Put a side-by-side generation into the queue; the owner's earlier one gives way."""
        return jobs.submit(self.store, GenerateJob(request=request), owner=owner, live=True)

    def submit_sensitivity(self, recipe: Recipe, *, owner: str = "") -> int:
        """Put the measuring of the recipe's model into the queue."""
        return jobs.submit(self.store, SensitivityJob(recipe=recipe.to_dict()), owner=owner)

    def cancel(self, job_id: int) -> None:
        self.store.request_cancel(job_id)

    def job(self, job_id: int) -> JobRow:
        return self.store.job(job_id)

    def jobs(self, states: Iterable[str] = ("queued", "running")) -> list[JobRow]:
        return self.store.jobs(states)

    def queue_place(self, job_id: int) -> int:
        """How many jobs come before this one; 0 when it is next or running."""
        return self.store.queue_place(job_id)

    def events(self, job_id: int, after: int = 0) -> list[tuple[int, Event]]:
        """Events with a number greater than `after`, in order: a cursor that loses nothing."""
        return self.store.events(job_id, after)

    def workers(self) -> list[WorkerRow]:
        return self.store.workers()

    # -- statistics of inputs that are kept on disk -------------------------------------------

    def statistics(self) -> list[StatisticsEntry]:
        """What is kept of calibration, most recently used first. It is measured again where it is needed and gone."""
        return statistics_files.entries()

    def statistics_room(self) -> int:
        """Bytes that they may take together; what was not used for longest goes first."""
        return statistics_files.room()

    def clear_statistics(self, ids: Iterable[str] | None = None) -> int:
        """Delete these, or all; returns the bytes that are free now. Raises BadInput for an unknown id."""
        return statistics_files.clear(ids)

    # -- runs ------------------------------------------------------------------------------

    def runs(self, limit: int = 1000) -> list[RunRecord]:
        """Newest first."""
        return self.store.runs(limit)

    def run_record(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it; raises BadInput."""
        return self.store.run(run_id)

    def delete_run(self, run_id: str) -> None:
        """Out of sight at once, off the disk a day later: `restore_run` undoes it."""
        self.store.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        self.store.restore_run(run_id)

    def compare(self, run_ids: Iterable[str]) -> list[dict[str, Any]]:
        """One row a metric, one entry a run, and the baseline of the first run: values with their errors."""
        records = [self.run_record(run_id) for run_id in run_ids]
        if len(records) < 2:
            raise BadInput("A comparison takes at least two runs; `compresslab runs` lists them.")
        metrics = dict.fromkeys(m.metric for record in records for m in record.measurements)
        return [_row(metric, records) for metric in metrics]


def _row(metric: str, records: list[RunRecord]) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": metric, "baseline": _cell(records[0].find(metric, "baseline"))}
    return row | {record.run_id: _cell(record.find(metric)) for record in records}


def _cell(measurement: Measurement | None) -> dict[str, Any] | None:
    if measurement is None:
        return None
    return {"value": measurement.value, "error": measurement.error, "unit": measurement.unit}


def _is_here(name: str) -> bool:
    try:
        return locate(name).folder is not None
    except BadInput:
        return False
