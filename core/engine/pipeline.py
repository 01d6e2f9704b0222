"""The pipeline of one run: load, every step, save, measure. It knows no method and no metric by name."""

from __future__ import annotations

import errno
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import psutil
import torch
import transformers
from compresslab.data.labelled import check_examples, needs
from compresslab.engine.job import Job, silent_job
from compresslab.engine.measuring import context as measuring
from compresslab.engine.measuring.context import MeasureContext
from compresslab.engine.models import packing
from compresslab.engine.models.device import Choice, device_name
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import label
from compresslab.engine.progress import Report, Tracker
from compresslab.errors import RunFailed
from compresslab.files.atomic import new_model_folder
from compresslab.files.paths import run_folder
from compresslab.files.version import version
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.hub import fetch
from compresslab.recipes.metric import Metric
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Draft, Measured
from compresslab.records.results import Hardware, LossPoint, Measurement, RunRecord, Stage


class Warm(measuring.Warm, Protocol):
    """What a process keeps from one run to the next: the part of its Session that the pipeline asks."""

    def choice(self, recipe: Recipe) -> Choice:
        """Device and dtype."""

    def baseline(self, recipe: Recipe) -> CompressedModel: ...

    def compress(self, recipe: Recipe, job: Job) -> tuple[CompressedModel, list[LossPoint]]:
        """The model after every step, and the curves of those that train."""


NO_MEMORY = Message("run.no_memory")


def run(
    session: Warm, recipe: Recipe, run_id: str, stage: Stage, report: Report, cancelled: Callable[[], bool]
) -> RunRecord:
    """See `Session.run`."""
    begun = time.monotonic()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    tracker = Tracker(_shares(recipe, stage), report)
    job = Job(report, cancelled, tracker)
    with clear_failures():
        job.check()
        fetch(recipe.model, report, cancelled)
        files = named_files(recipe)  # as they are before anything is read of them
        tracker.begin("load")
        _check_examples(recipe)
        _tell_what_is_not_used(recipe, job)
        compressed, losses = session.compress(recipe, job)
        baseline, choice = session.baseline(recipe), session.choice(recipe)
        context = MeasureContext(job, session, recipe, baseline, compressed, stage)
        if stage == "final":
            measurements, saved_to = _save_and_measure(context, run_id)
        else:
            measurements, saved_to = measure(context), None
        tracker.end()
    return RunRecord(
        run_id=run_id,
        recipe=recipe.to_dict(),
        recipe_hash=recipe.content_hash,
        named_files=files,
        model=recipe.model,
        stage=stage,
        created=created,
        seconds=time.monotonic() - begun,
        stages=tracker.seconds,
        baseline_hash=baseline.weights_hash(),
        compressed_hash=compressed.weights_hash(),
        hardware=hardware(choice),
        measurements=measurements,
        weights=compressed.reports(),
        losses=losses,
        notices=[*job.notices, *job.remembered],
        saved_to=saved_to,
    )


def measure_only(
    session: Warm, recipe: Recipe, baseline: CompressedModel, compressed: CompressedModel
) -> list[Measurement]:
    """All metrics of the recipe for two models that are in memory; nothing is saved."""
    with clear_failures():
        return measure(MeasureContext(silent_job(), session, recipe, baseline, compressed, "final"))


def warm_up(session: Warm, recipe: Recipe) -> None:
    """Load the baseline and keep what it says of a draft's text and questions."""
    with clear_failures():
        baseline = session.baseline(recipe)
        if not needs(baseline.facts):  # nobody knows yet which examples it will be measured on
            measure(MeasureContext(silent_job(), session, recipe, baseline, baseline, "draft"))


def _check_examples(recipe: Recipe) -> None:
    """Before any work: a model that must be measured on a file of examples has one that can be read."""
    if any(metric.on_examples for metric in recipe.metrics):
        check_examples(recipe.evaluation.questions, read_facts(recipe.model))


def _tell_what_is_not_used(recipe: Recipe, job: Job) -> None:
    """Who names a test text should not believe that a model measured on examples was measured on it."""
    given, facts = recipe.evaluation.text, read_facts(recipe.model)
    if needs(facts) and given != "bundled":
        job.notice("run.text_unused", name=facts.name, text=label(given), examples=label(recipe.evaluation.questions))


# -- measuring ----------------------------------------------------------------------------


def _save_and_measure(context: MeasureContext, run_id: str) -> tuple[list[Measurement], str]:
    """The folder takes its name when everything is measured: a run that fails leaves nothing."""
    folder = run_folder(run_id)
    with new_model_folder(folder) as temporary:
        context.job.tracker.begin("save")
        packing.write_folder(context.compressed, temporary, context.recipe.to_yaml())
        context.written = temporary / packing.WEIGHTS
        measurements = measure(context)
    return measurements, str(folder)


def measure(context: MeasureContext) -> list[Measurement]:
    """All metrics: those that may share the machine in turn, then those that must be alone, one by one."""
    task = context.baseline.facts.task
    metrics = [m for m in context.recipe.metrics if task in m.tasks and (m.in_draft or context.stage != "draft")]
    results: dict[int, list[Measurement]] = {}
    together = {n: metric for n, metric in enumerate(metrics) if not metric.alone}
    if together:
        context.job.tracker.begin("evaluate")
        results |= _in_turn(together, context)
    for number, metric in enumerate(metrics):
        if metric.alone:
            context.job.tracker.begin(metric.name)
            results |= _in_turn({number: metric}, context)
    return [measurement for number in sorted(results) for measurement in results[number]]


def _in_turn(metrics: dict[int, Metric], context: MeasureContext) -> dict[int, list[Measurement]]:
    """Advance every metric by one item, again and again, until all have ended; tell what is known each time."""
    running = {number: metric.measure(context) for number, metric in metrics.items()}
    latest: dict[int, list[Measurement]] = {}
    while running:
        for number, source in list(running.items()):
            context.check()
            found = next(source, None)
            if found is None:
                del running[number]
                latest[number] = [m.model_copy(update={"stage": context.stage}) for m in latest.get(number, [])]
                context.job.report(Measured(measurements=latest[number]))
                continue
            latest[number] = found
            drafts = [m.model_copy(update={"stage": "draft"}) for m in found]
            context.job.report(Draft(measurements=drafts, samples=context.tokens_seen))
        if not any(metric.alone for metric in metrics.values()):
            context.job.tracker.advance(context.done, 1.0)
    return latest


# -- shares, hardware, failures -------------------------------------------------------------


def _shares(recipe: Recipe, stage: Stage) -> dict[str, float]:
    """Expected cost of every stage, in tokens that go through the model once."""
    evaluation = recipe.evaluation
    part = 0.25 if stage == "draft" else 1.0
    shares = {"load": 1_000.0, "save": 2_000.0 if stage == "final" else 0.0}
    for step in recipe.steps:
        shares[step.name] = shares.get(step.name, 0.0) + step.cost(recipe.calibration.sequence_length)
    for metric in recipe.metrics:
        if metric.in_draft or stage == "final":
            name = metric.name if metric.alone else "evaluate"
            cost = 20_000.0 if metric.alone else part * (evaluation.max_tokens + 100 * evaluation.max_questions) / 2
            shares[name] = shares.get(name, 0.0) + cost
    return shares


def hardware(choice: Choice) -> Hardware:
    """The machine that measures."""
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    versions |= {"transformers": transformers.__version__, "compresslab": version()}
    return Hardware(
        device=choice.device.type,
        device_name=device_name(choice.device),
        device_reason=choice.reason,
        dtype=choice.dtype_name,
        dtype_reason=choice.dtype_reason,
        threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        versions=versions,
    )


@contextmanager
def clear_failures() -> Iterator[None]:
    """What torch and the disk raise, as one sentence with the way out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RunFailed(NO_MEMORY) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise RunFailed(NO_MEMORY) from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed("run.disk_full") from error
        raise
