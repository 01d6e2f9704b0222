"""What a job is, and how it comes into the queue."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from compresslab.recipes.generation_request import GenerateRequest
from compresslab.records.record import Record
from compresslab.records.results import RunRecord, Stage
from compresslab.store import JobRow, Store
from compresslab.work import limits
from pydantic import Field, TypeAdapter

SWEEP_PRIORITY = 4  # behind everyone who waits for one thing
PRIORITIES = range(SWEEP_PRIORITY)  # of all other work
MOST_PUT_BACK = 2  # times that a sweep's point is tried again because its worker went away


def new_run_id() -> str:
    return uuid.uuid4().hex[:10]


class RunJob(Record):
    """Compress and measure. `recipe` is plain data; `run_id` names the run before it exists.

    What a job of a `sweep` measures is kept, the draft too: it is a point of a chart.
    """

    kind: Literal["run"] = "run"
    recipe: dict[str, Any]
    stage: Stage = "final"
    run_id: str = Field(default_factory=new_run_id)
    sweep: int | None = None


class GenerateJob(Record):
    """Write texts side by side."""

    kind: Literal["generate"] = "generate"
    request: GenerateRequest


class WarmJob(Record):
    """Load a baseline, so that the first job on it need not wait."""

    kind: Literal["warm"] = "warm"
    model: str


class DownloadJob(Record):
    """Fetch a model of the Hub."""

    kind: Literal["download"] = "download"
    model: str
    most_bytes: int | None = None  # that the visitor may still fetch today, as the worker finds it


class SensitivityJob(Record):
    """Measure how sensitive the recipe's model is, with the recipe's texts."""

    kind: Literal["sensitivity"] = "sensitivity"
    recipe: dict[str, Any]


class ProfileJob(Record):
    """Look at what the recipe makes of every matrix, at the weights of the run where there is one."""

    kind: Literal["profile"] = "profile"
    recipe: dict[str, Any]
    run: str | None = None


class ExportJob(Record):
    """Write a finished run in a format that other programs load. `folder` is where it goes, `push` a Hub id."""

    kind: Literal["export"] = "export"
    run: RunRecord
    format: str
    settings: dict[str, Any]
    folder: str
    push: str | None = None


Job = RunJob | DownloadJob | GenerateJob | SensitivityJob | ProfileJob | ExportJob | WarmJob
_ADAPTER: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


def parse(payload: dict[str, Any]) -> Job:
    return _ADAPTER.validate_python(payload)


def submit(store: Store, job: Job, *, owner: str = "", live: bool = False) -> int:
    """Put a job into the queue; a live one takes the place of the owner's live job of the same kind. Raises BadInput
    for an owner who has many there already, or may not have this one; see `limits`."""
    if isinstance(job, DownloadJob):
        limits.check_download(store, owner)
    for model in _models(job) if owner else ():
        limits.check_model(owner, model)
    bound: dict[str, Any] = {"most": limits.JOBS.most, "among": PRIORITIES} if owner and not live else {}
    priority = _priority(job, live)
    return store.create_job(job.kind, job.model_dump_json(), priority=priority, owner=owner, live=live, **bound)


def _models(job: Job) -> set[str]:
    """That the work reads."""
    if isinstance(job, RunJob | SensitivityJob | ProfileJob):
        return {job.recipe["model"]}
    if isinstance(job, ExportJob):
        return {job.run.model}
    if isinstance(job, GenerateJob):
        panes = job.request.panes
        recipes = {pane.recipe["model"] for pane in panes if pane.recipe is not None}
        return recipes | {pane.model for pane in panes if pane.source == "baseline"}
    return set()


def _priority(job: Job, live: bool) -> int:
    """Whoever waits in front of the screen goes first: the lower, the sooner."""
    if isinstance(job, RunJob):
        if job.sweep is not None:
            return SWEEP_PRIORITY
        return 1 if live else 3 if job.stage == "final" else 2
    if isinstance(job, SensitivityJob):
        return 3
    return 0 if isinstance(job, GenerateJob) else 2


def put_back(store: Store, job: JobRow) -> None:
    """A sweep outlives its worker: the point that it was at is queued again, a few times at most."""
    if job.sweep is not None and job.cancel_reason is None:
        again = RunJob.model_validate(job.payload | {"run_id": new_run_id()})
        store.sweeps.put_back(job.id, again.model_dump_json(), SWEEP_PRIORITY, MOST_PUT_BACK)
