"""Measuring a sensitivity table: losses of every setting, what every matrix matters, some whole models."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.job import Job, silent_job
from compresslab.engine.measuring import context as measuring
from compresslab.engine.measuring.baseline_scores import Subject
from compresslab.engine.measuring.measurements import log_ratio
from compresslab.engine.measuring.scores import TokenScores, score_tokens
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import label
from compresslab.engine.solvers.optimal_brain import relative_loss
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.engine.steps import context as steps
from compresslab.engine.steps.context import StepContext
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.profiles.probes import Probes
from compresslab.profiles.sensitivity_store import about
from compresslab.profiles.sensitivity_table import Column, Point, SensitivityTable, column
from compresslab.recipes.layerwise import LayerMethod
from compresslab.recipes.method import Method
from compresslab.recipes.recipe import Recipe
from torch import Tensor

TOKENS_ALONE, TOKENS_WHOLE = 4096, 16384  # scored with one matrix changed, and for a whole model
SHARES = {"columns": 1.0, "alone": 2.0, "whole": 1.0}  # of the time, roughly


class Warm(measuring.Warm, steps.Warm, Protocol):
    """The part of a process's Session that is asked here."""

    def baseline(self, recipe: Recipe) -> CompressedModel: ...


def build(session: Warm, recipe: Recipe, probes: Probes, job: Job) -> SensitivityTable:
    """Minutes of work, told to `job`. Raises Cancelled."""
    begun = time.monotonic()
    facts = session.baseline(recipe).facts
    if facts.task != "causal":
        raise BadInput("sensitivity.not_causal", name=facts.name)
    recipe = recipe.replace(calibration=recipe.calibration.model_copy(update={"statistics": "baseline"}))
    bench = _Bench(session, recipe, session.baseline(recipe), job)
    job.tracker.begin("columns")
    columns = [found for step in bench.each(probes.columns) if (found := bench.column(step)) is not None]
    job.tracker.begin("alone")
    importance = bench.importance(probes.alone)
    job.tracker.begin("whole")
    points = [bench.point(step) for step in bench.each(probes.whole)]
    job.tracker.end()
    windows, _ = bench.windows(TOKENS_WHOLE)
    return SensitivityTable(
        model=recipe.model,
        about=about(recipe),
        dataset=Message("text.with_context", text=label(recipe.evaluation.text), context=windows.shape[1]),
        tokens=windows.shape[0] * (windows.shape[1] - 1),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - begun,
        importance=importance,
        columns=columns,
        points=points,
    )


@dataclass
class _Bench:
    """One baseline on which settings are tried."""

    session: Warm
    recipe: Recipe
    baseline: CompressedModel
    job: Job

    def each(self, steps: Sequence[Any]) -> Iterator[Any]:
        for done, step in enumerate(steps):
            self.job.check()
            self.job.tracker.advance(done, len(steps))
            yield step

    def column(self, step: LayerMethod) -> Column | None:
        """None for a step that rescales inputs: what it loses can't be told from its weights alone."""
        changed = self.compressed(step)
        touched = [name for name in self.baseline.weights if _differs(self.baseline, changed, name)]
        if any(self.baseline.weights[name].role == "other" for name in touched):
            return None
        return column(step, {name: self.loss(name, changed) for name in touched})

    def importance(self, steps: Sequence[Method]) -> dict[str, dict[str, float]]:
        """Divergence per unit of loss, by kind of step and matrix, each changed alone."""
        trials = []
        for step in steps:
            changed = self.compressed(step)
            touched = [name for name in self.baseline.weights if _differs(self.baseline, changed, name)]
            trials += [(step.kind, name, changed) for name in touched]
        found: dict[str, dict[str, float]] = {step.kind: {} for step in steps}
        for kind, name, changed in self.each(trials):
            alone = _only(self.baseline, changed, name)
            scores = self.scores(alone, TOKENS_ALONE)
            divergence = float(scores.divergence.sum() / scores.tokens.sum())
            found[kind][name] = max(0.0, divergence) / max(1e-9, self.loss(name, changed))
        return found

    def point(self, step: Method) -> Point:
        scores = self.scores(self.compressed(step), TOKENS_WHOLE)
        ratio, error = log_ratio(scores)
        return Point(
            steps=[{step.name: step.model_dump(mode="json")}],
            log_ratio=ratio,
            error=error or 0.0,
            divergence=float(scores.divergence.sum() / scores.tokens.sum()),
        )

    def compressed(self, step: Method) -> CompressedModel:
        """The baseline with one step applied; its own progress is not told, what it notices is."""
        quiet = replace(silent_job(), cancelled=self.job.cancelled)
        model = self.baseline.copy()
        step.apply(model, StepContext(quiet, self.session, self.recipe, self.baseline))
        for said in quiet.notices:
            self.job.notice(said)
        return model

    def loss(self, name: str, changed: CompressedModel) -> float:
        """Of what a matrix puts out; of the weights themselves where no input was measured (tables of words)."""
        before, after = self.baseline.weight(name), changed.weight(name)
        found = self.statistics.get(name)
        if found is None:
            return float((after - before).square().sum() / before.square().sum())
        return relative_loss(before, after, found.hessian)

    @cached_property
    def statistics(self) -> dict[str, InputStatistics]:
        context = StepContext(self.job, self.session, self.recipe, self.baseline)
        found = context.with_statistics(self.baseline, self.baseline.linear_names())
        return {name: statistics for names, statistics in found for name in names}

    def windows(self, tokens: int) -> tuple[Tensor, Subject]:
        windows, subject = self.session.evaluation_windows(self.recipe, self.baseline, self.job)
        return windows[: max(2, tokens // windows.shape[1])], subject

    def scores(self, model: CompressedModel, tokens: int) -> TokenScores:
        windows, subject = self.windows(tokens)
        kept, check = self.session.scores, self.job.check
        dataset = label(self.recipe.evaluation.text)
        scores = score_tokens(self.baseline, model, windows, len(windows), dataset, kept, subject, check)
        *_, last = scores  # there is one window at the least
        return last


def _only(baseline: CompressedModel, changed: CompressedModel, name: str) -> CompressedModel:
    """The baseline with one weight as it is in the changed model."""
    model = baseline.copy()
    stored = changed.stored[name]
    if isinstance(stored, QuantizedWeight):
        model.quantize(name, stored)
    else:
        model.settle({name: stored})
    return model


def _differs(baseline: CompressedModel, changed: CompressedModel, name: str) -> bool:
    """By content: a weight that lies on disk is another tensor at every reading."""
    before, after = baseline.stored[name], changed.stored[name]
    if isinstance(before, QuantizedWeight) or isinstance(after, QuantizedWeight):
        return before is not after
    return before is not after and not torch.equal(before, after)
