"""Sweeps at work: in the queue or in this process, stopped and taken up again. No finished point is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, Protocol

from compresslab.errors import BadInput, RunFailed
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.source import locate
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Point, Sweep, SweepStage
from compresslab.records.events import Event, Progress
from compresslab.records.results import RunRecord, Stage
from compresslab.records.run_row import RunRow
from compresslab.store import Store
from compresslab.store.sweeps import NewPoint, PointRow, SweepRow
from compresslab.work import limits, visitors
from compresslab.work.jobs import SWEEP_PRIORITY, RunJob, new_run_id
from compresslab.work.visitors import HERE, Visitor

RECENT_JOBS = 300  # looked at for how long a point takes
Report = Callable[[Event], None]
Cancel = Callable[[], bool]
Told = Callable[[PointRow, RunRecord | Message], None]  # a point that has ended: its record, or why there is none


class Runner(Protocol):
    """What runs a point in this process: the engine's Session."""

    def run(self, recipe: Recipe, *, run_id: str, stage: Stage, report: Report, cancelled: Cancel) -> RunRecord: ...


class Sweeps:
    """All sweeps of a store. Raises CompresslabError."""

    def __init__(self, store: Store, runner: Callable[[], Runner]) -> None:
        self._store, self._rows = store, store.sweeps
        self._runner = runner

    # -- looking ---------------------------------------------------------------------------

    def plan(self, sweep: Sweep) -> list[Point]:
        """What would be run, and what is set aside; a model that is still to be fetched is checked when it is here."""
        model = Recipe.from_dict(sweep.base).model
        return sweep.points(read_facts(model) if locate(model).folder is not None else None)

    def all(self, limit: int = 100) -> list[SweepRow]:
        """Newest first."""
        return self._rows.sweeps(limit)

    def find(self, sweep_id: int) -> SweepRow:
        """Raises BadInput."""
        return self._rows.sweep(sweep_id)

    def points(self, sweep_id: int) -> list[PointRow]:
        """In the order of the work, each with how far it is: what was measured before the model or a text was edited
        is no result of the sweep any more."""
        return self._rows.points(sweep_id, _files(self.find(sweep_id).spec))

    def recipe(self, sweep_id: int, place: int) -> Recipe | None:
        """Of one point; None where there is none."""
        plain = self._rows.recipes(sweep_id, [place]).get(place)
        return None if plain is None else Recipe.from_dict(plain)

    def records(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Of the runs that points name, in no order."""
        return self._store.runs_by_id(run_ids)

    def rows(self, run_ids: Iterable[str]) -> list[RunRow]:
        """As `records`, what lists and charts say of them alone: many times as fast."""
        return self._store.rows_by_id(run_ids)

    def runs_of(self, model: str, limit: int = 1000) -> list[str]:
        """Final runs of a model, of whatever sweep or none, newest first."""
        return self._store.run_ids(model, limit)

    def seconds_each(self, sweep: Sweep) -> float | None:
        """What a point will take, by the median of like jobs done lately; None where there was none."""
        base = sweep.base
        same: list[float] = []
        alike: list[float] = []
        for job in self._store.jobs(("done",), RECENT_JOBS):
            recipe = job.payload.get("recipe", {})
            if job.kind != "run" or job.stage != sweep.stage or recipe.get("model") != base["model"]:
                continue
            took = (job.finished or 0.0) - (job.started or 0.0)
            same.append(took)
            if _names(recipe) == _names(base):
                alike.append(took)
        return median(alike or same) if same else None

    def create(self, sweep: Sweep, owner: str = "") -> int:
        """Keep the sweep and its points, nothing run; returns its number. Raises BadInput."""
        return self._rows.create(sweep.model_dump_json(), [_new(point) for point in self.plan(sweep)], owner)

    # -- in the queue ----------------------------------------------------------------------

    def submit(self, sweep: Sweep, owner: str = "") -> int:
        """Keep the sweep and put its points into the queue, behind whatever others wait for; returns its number. Raises
        BadInput, also for an owner whose sweeps have as many points there already as one may have."""
        self._check_room(owner, sweep.size)
        limits.check_model(owner, sweep.base["model"])
        sweep_id = self.create(sweep, owner)
        self.resume(sweep_id)
        return sweep_id

    def _check_room(self, owner: str, points: int) -> None:
        most = limits.POINTS.most
        if owner and self._store.count_open(owner, [SWEEP_PRIORITY]) + points > most:
            raise BadInput("sweep.too_many_open", most=most)

    def resume(self, sweep_id: int, *, by: Visitor = HERE) -> int:
        """Queue the points that are neither finished nor under way, failed ones too; returns how many. Raises BadInput,
        also where it is not for this visitor to do, as all below."""
        self._check(sweep_id, by)
        pending = [row.place for row in self.points(sweep_id) if row.state in ("waiting", "stopped", "failed")]
        return self._enqueue(sweep_id, pending, Sweep.model_validate(self.find(sweep_id).spec).stage)

    def in_full(self, sweep_id: int, places: Iterable[int], *, by: Visitor = HERE) -> int:
        """Queue these points for final runs, whatever the sweep's stage; returns how many."""
        self._check(sweep_id, by)
        wanted = set(places)
        rows = [row for row in self.points(sweep_id) if row.place in wanted and row.run_stage != "final"]
        return self._enqueue(sweep_id, [row.place for row in rows if row.state not in ("aside", "running")], "final")

    def stop(self, sweep_id: int, *, by: Visitor = HERE) -> None:
        """Its jobs end; what is finished stays, and `resume` goes on from there."""
        self._check(sweep_id, by)
        self._store.stop_sweep(sweep_id)

    def delete(self, sweep_id: int, *, by: Visitor = HERE) -> None:
        """Stopped and out of sight; `restore` undoes it for a day. Its final runs stay in the history."""
        self.stop(sweep_id, by=by)
        self._rows.mark(sweep_id, deleted=True)

    def restore(self, sweep_id: int, *, by: Visitor = HERE) -> None:
        visitors.check(self._store, by, self._rows.owner(sweep_id))
        self._rows.mark(sweep_id, deleted=False)

    def refusal(self, sweep_id: int, by: Visitor) -> Message | None:
        """Why a visitor may not change, stop or delete it; None where they may. Raises BadInput."""
        return visitors.refusal(self._store, by, self._rows.owner(sweep_id))

    def _check(self, sweep_id: int, by: Visitor) -> None:
        visitors.check(self._store, by, self.find(sweep_id).owner)

    # -- in this process -------------------------------------------------------------------

    def run(self, recipe: Recipe, over: Iterable[str], *, stage: SweepStage = "draft") -> list[RunRecord]:
        """Run the recipe with every combination of `over`, such as `quantize_gptq.bits=2,3,4`; the records in the order
        of the work. What fails, or makes no sense, is left out; `points` tells of it.
        """
        sweep_id = self.create(Sweep.over(recipe, over, stage))
        self.go_on(sweep_id)
        run_ids = [row.run_id for row in self.points(sweep_id) if row.done and row.run_id]
        found = {record.run_id: record for record in self.records(run_ids)}
        return [found[run_id] for run_id in run_ids]

    def go_on(
        self,
        sweep_id: int,
        report: Report = lambda event: None,
        cancelled: Cancel = lambda: False,
        told: Told = lambda row, outcome: None,
    ) -> None:
        """Run here the points that are neither finished nor under way. One that fails says so and the next is run."""
        stage = Sweep.model_validate(self.find(sweep_id).spec).stage
        pending = [row for row in self.points(sweep_id) if row.state in ("waiting", "stopped", "failed")]
        recipes = self._rows.recipes(sweep_id, [row.place for row in pending])
        for number, row in enumerate(pending):
            shown = _share(report, number, len(pending))
            told(row, self._run_point(sweep_id, row, Recipe.from_dict(recipes[row.place]), stage, shown, cancelled))

    def _run_point(
        self, sweep_id: int, row: PointRow, recipe: Recipe, stage: SweepStage, report: Report, cancelled: Cancel
    ) -> RunRecord | Message:
        try:
            record = self._runner().run(recipe, run_id=new_run_id(), stage=stage, report=report, cancelled=cancelled)
            self._store.save_run(record)
        except (BadInput, RunFailed) as error:
            self._rows.note_error(sweep_id, row.place, error.message)
            return error.message
        self._rows.note_error(sweep_id, row.place, None)
        return record

    # -- inside ----------------------------------------------------------------------------

    def _enqueue(self, sweep_id: int, places: list[int], stage: SweepStage) -> int:
        owner = self.find(sweep_id).owner
        self._check_room(owner, len(places))
        recipes = self._rows.recipes(sweep_id, places)
        jobs = {place: RunJob(recipe=recipes[place], stage=stage, sweep=sweep_id) for place in places}
        payloads = {place: job.model_dump_json() for place, job in jobs.items()}
        self._rows.enqueue(sweep_id, payloads, SWEEP_PRIORITY, owner)
        return len(payloads)


def _files(spec: dict[str, Any]) -> set[str]:
    """That the points of a sweep are made from now; none where that can't be told."""
    try:
        found = {named_files(recipe) for recipe in Sweep.model_validate(spec).on_every_text()}
    except BadInput:  # its recipe is of another version
        return set()
    return found if all(found) else set()


def _new(point: Point) -> NewPoint:
    if point.recipe is None:
        return NewPoint(point.coordinates, None, None, point.aside)
    return NewPoint(point.coordinates, point.recipe.to_dict(), point.recipe.content_hash, None)


def _share(report: Report, number: int, of: int) -> Report:
    """Progress of one point as its part of the whole."""

    def shown(event: Event) -> None:
        if isinstance(event, Progress):
            event = event.model_copy(update={"fraction": (number + event.fraction) / of, "seconds_left": None})
        report(event)

    return shown


def _names(recipe: dict[str, Any]) -> set[str]:
    return {name for step in recipe["steps"] for name in step}
