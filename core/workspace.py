"""The one façade: whatever the dashboard, the command line and a script can do, they do through it. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.errors import BadInput
from compresslab.files.paths import store_url
from compresslab.models import hub
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.models.hub import Cached, Found
from compresslab.models.packed_layout import file_bytes
from compresslab.models.source import BUNDLED, downloaded, locate
from compresslab.planning.allocation import allocate
from compresslab.planning.estimate import Estimate, estimate
from compresslab.planning.presets import Goal, Preset, choose
from compresslab.profiles import layer_profile, sensitivity_store, statistics_files
from compresslab.profiles.layer_profile import LayerProfile
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.profiles.statistics_files import StatisticsEntry
from compresslab.recipes.generation_request import GenerateRequest
from compresslab.recipes.plan import Fit, Plan, fit, make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep, SweepStage
from compresslab.records.events import Event
from compresslab.records.results import ExportRecord, Measurement, RunRecord, RunSummary, Stage
from compresslab.store import JobRow, Store, WorkerRow
from compresslab.store.recorded_answers import RecordedAnswer, recorded_answers
from compresslab.store.runs import Annotation
from compresslab.work import exporting, jobs
from compresslab.work.exporting import Offer
from compresslab.work.jobs import DownloadJob, ExportJob, GenerateJob, ProfileJob, RunJob, SensitivityJob, new_run_id
from compresslab.work.sweeps import Sweeps

if TYPE_CHECKING:
    from compresslab.engine.session import Session

Report = Callable[[Event], None]


class Workspace:
    """Estimate, plan, run, submit, watch, compare, generate: on one store."""

    def __init__(self, url: str | None = None) -> None:
        self.store = Store(url or store_url())

    # -- models and recipes, nothing run ----------------------------------------------

    def models(self) -> list[str]:
        """The bundled one first, then what runs used last, then what else was fetched from the Hub; all of it here."""
        names = [BUNDLED, *self.store.models_used(), *downloaded()]
        return [name for name in dict.fromkeys(names) if _is_here(name)]

    def search_hub(self, text: str) -> list[Found]:
        """Models of the Hub with that in their name, the most used first. Raises BadInput."""
        return hub.search(text)

    def download(
        self,
        model: str,
        report: Report = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Fetch a model of the Hub here and now; returns its folder. Raises BadInput, Cancelled."""
        return hub.download(model, report, cancelled)

    def downloaded(self) -> list[Cached]:
        """What the Hub's cache on this machine holds, what was used last first."""
        return hub.cached()

    def delete_downloaded(self, model: str) -> int:
        """Take a model out of the Hub's cache; returns the bytes freed. Raises BadInput, RunFailed."""
        return hub.delete(model)

    def facts(self, model: str) -> ModelFacts:
        return read_facts(model)

    def plan(self, recipe: Recipe) -> Plan:
        """Raises BadInput where the recipe does not fit the model or itself."""
        return make_plan(recipe, read_facts(recipe.model))

    def fit(self, recipe: Recipe) -> Fit:
        """Whether the recipe's work fits into this machine's memory, and how large a model would."""
        return fit(recipe, read_facts(recipe.model))

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
            raise BadInput("sensitivity.missing", model=recipe.model)
        if ratio is not None:
            budget_bytes = int(file_bytes(plan.facts.weights) / ratio)
        if budget_bytes is None:
            raise BadInput("budget.not_given")
        return allocate(plan, table, budget_bytes)

    def preset(self, goal: Goal, recipe: Recipe) -> Preset:
        """The recipe with steps chosen for what is wanted, from estimates alone. Raises BadInput where none will do."""
        facts = read_facts(recipe.model)
        return choose(goal, recipe, facts, sensitivity_store.find(recipe, facts))

    def _check(self, recipe: Recipe) -> None:
        """Refuse nonsense before anything is loaded; a model that is still to be fetched is checked when it is here."""
        if locate(recipe.model).folder is not None:
            self.plan(recipe)

    # -- work in this process -----------------------------------------------------------

    @cached_property
    def _session(self) -> Session:
        from compresslab.engine.session import Session

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

    def profile(
        self,
        recipe: Recipe,
        run_id: str | None = None,
        report: Report = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> LayerProfile:
        """Histograms, zeros and error of every matrix, worth of every head: looked at here and now, and kept."""
        return layer_profile.measure(self._session, recipe, run_id, report, cancelled)

    def layer_profile(self, recipe: Recipe) -> LayerProfile | None:
        """What was seen of the recipe's matrices; None before anyone looked."""
        return layer_profile.find(recipe)

    def generate(
        self,
        request: GenerateRequest,
        report: Report,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Write every pane here and now; what they write arrives at `report`."""
        self._session.generate(request, report=report, cancelled=cancelled)

    def export(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None = None,
        *,
        settings: dict[str, dict[str, Any]] | None = None,
        push: str | None = None,
        report: Report = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[ExportRecord]:
        """Write a run here and now so that other programs load it; each format gets a folder in `out`, is opened again,
        and the run's record says how it answered. `settings` are by format, `push` is a Hub id that one format is
        uploaded to. Raises CompresslabError."""
        done = []
        for job in self._export_jobs(run_id, formats, out, settings, push):
            done.append(exporting.export(self._session, job, report, cancelled))
            self.store.add_export(job.run.run_id, done[-1])
        return done

    def _export_jobs(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None,
        settings: dict[str, dict[str, Any]] | None,
        push: str | None,
    ) -> list[ExportJob]:
        names = [formats] if isinstance(formats, str) else formats
        return exporting.export_jobs(self.run_record(run_id), names, out, settings or {}, push)

    @cached_property
    def sweeps(self) -> Sweeps:
        """Many recipes at once: launched, watched, stopped, taken up again."""
        return Sweeps(self.store, lambda: self._session)

    def sweep(self, recipe: Recipe, over: Iterable[str], *, stage: SweepStage = "draft") -> list[RunRecord]:
        """Run the recipe here and now with every combination of `over`, such as `quantize_gptq.bits=2,3,4`; the records
        in the order of the work. What fails, or makes no sense, is left out; `sweeps` tells of it.
        """
        sweep_id = self.sweeps.create(Sweep.over(recipe, over, stage))
        self.sweeps.go_on(sweep_id)
        run_ids = [row.run_id for row in self.sweeps.points(sweep_id) if row.done and row.run_id]
        found = {record.run_id: record for record in self.sweeps.records(run_ids)}
        return [found[run_id] for run_id in run_ids]

    # -- work in the queue ---------------------------------------------------------------

    def submit(self, recipe: Recipe, *, stage: Stage = "final", owner: str = "", live: bool = False) -> int:
        """Put a run into the queue, once it is known to make sense; returns the job's number.

        A live job takes the place of the owner's live job before it.
        """
        self._check(recipe)
        job = RunJob(recipe=recipe.to_dict(), stage=stage)
        return jobs.submit(self.store, job, owner=owner, live=live)

    def submit_generation(self, request: GenerateRequest, *, owner: str = "", live: bool = True) -> int:
        """Put a side-by-side generation into the queue. A live one takes the place of the owner's before it, and its
        words are forgotten when many have come after it; one that is not live is kept.
        """
        return jobs.submit(self.store, GenerateJob(request=request), owner=owner, live=live)

    def recorded_answers(self, weights: Iterable[str]) -> list[RecordedAnswer]:
        """What the weights of these content hashes have written so far, newest first."""
        return recorded_answers(self.store, weights)

    def submit_download(self, model: str, *, owner: str = "") -> int:
        """Put the download of a model into the queue; returns the job's number."""
        return jobs.submit(self.store, DownloadJob(model=model), owner=owner)

    def submit_sensitivity(self, recipe: Recipe, *, owner: str = "") -> int:
        """Put the measuring of the recipe's model into the queue."""
        return jobs.submit(self.store, SensitivityJob(recipe=recipe.to_dict()), owner=owner)

    def submit_profile(self, recipe: Recipe, run_id: str | None = None, *, owner: str = "") -> int:
        """Put a close look at every matrix into the queue: `layer_profile` has it then."""
        self._check(recipe)
        return jobs.submit(self.store, ProfileJob(recipe=recipe.to_dict(), run=run_id), owner=owner)

    def submit_export(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None = None,
        *,
        settings: dict[str, dict[str, Any]] | None = None,
        push: str | None = None,
        owner: str = "",
    ) -> list[int]:
        """Put exports into the queue, one job a format, once all are known to make sense; see `export`."""
        found = self._export_jobs(run_id, formats, out, settings, push)
        return [jobs.submit(self.store, job, owner=owner) for job in found]

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

    def summaries(self, limit: int = 1000) -> list[RunSummary]:
        """As `runs`, without what became of every weight: for lists of many."""
        return self.store.summaries(limit)

    def run_record(self, run_id: str) -> RunRecord:
        """By its id or the unambiguous start of it; raises BadInput."""
        return self.store.run(run_id)

    def export_offers(self, run_id: str, settings: Mapping[str, dict[str, Any]] | None = None) -> list[Offer]:
        """Every format, held against a run: how large, and what speaks against it. `settings` are by format.

        Raises BadInput where the run's weights are gone.
        """
        return exporting.offers(self.run_record(run_id), settings or {})

    def annotations(self) -> dict[str, Annotation]:
        """Tags and notes, by the run's id."""
        return self.store.annotations()

    def annotate_run(self, run_id: str, tags: Iterable[str], note: str) -> None:
        """Tags and a note in place of those before. Raises BadInput."""
        self.store.annotate(run_id, tags, note)

    def delete_run(self, run_id: str) -> None:
        """Out of sight at once, off the disk a day later: `restore_run` undoes it."""
        self.store.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        self.store.restore_run(run_id)

    def compare(self, run_ids: Iterable[str]) -> list[dict[str, Any]]:
        """One row a metric, one entry a run, and the baseline of the first run: values with their errors."""
        records = [self.run_record(run_id) for run_id in run_ids]
        if len(records) < 2:
            raise BadInput("run.comparison")
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
