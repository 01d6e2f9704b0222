"""Looking at every weight matrix before and after: binned counts, zeros, error, and the energy of attention heads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import torch
from compresslab.engine.job import Job
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.engine.steps import context as steps
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.sites import Site
from compresslab.engine.steps.unit_scores import energies
from compresslab.profiles.layer_profile import LayerProfile, MatrixProfile
from compresslab.recipes.recipe import Recipe
from torch import Tensor

BINS = 61  # odd: zero lies in the middle of one
SPREAD = 4.0  # standard deviations to either side that the bins reach
SHARES = {"heads": 1.0, "matrices": 1.0}  # of the time, once the model is there


class Warm(steps.Warm, Protocol):
    """The part of a process's Session that is asked here."""

    def baseline(self, recipe: Recipe) -> CompressedModel: ...


def build(session: Warm, recipe: Recipe, compressed: CompressedModel, job: Job) -> LayerProfile:
    """Raises Cancelled."""
    begun = time.monotonic()
    baseline = session.baseline(recipe)
    job.tracker.begin("heads")
    heads = head_energies(session, recipe, baseline, job)
    job.tracker.begin("matrices")
    names = compressed.linear_names()
    matrices = []
    for done, name in enumerate(names):
        job.check()
        job.tracker.advance(done, len(names))
        matrices.append(_matrix(name, baseline, compressed))
    job.tracker.end()
    return LayerProfile(
        model=recipe.model,
        weights_hash=compressed.weights_hash(),
        matrices=matrices,
        heads=heads,
        seconds=time.monotonic() - begun,
    )


@dataclass(frozen=True)
class _Bins:
    """Equally wide, from -reach to reach."""

    reach: float

    def counts(self, values: Tensor) -> list[int]:
        inside = values.flatten().float().clamp(-self.reach, self.reach).cpu()  # what lies beyond is counted at the end
        return [int(count) for count in torch.histc(inside, BINS, -self.reach, self.reach)]


def _matrix(name: str, baseline: CompressedModel, compressed: CompressedModel) -> MatrixProfile:
    after = compressed.weight(name)
    before = baseline.weight(name) if name in baseline.weights and baseline.depth == compressed.depth else None
    shown = after if before is None else before
    bins = _Bins(max(float(shown.std()) * SPREAD, torch.finfo(torch.float32).tiny))
    stored = compressed.stored[name]
    return MatrixProfile(
        name=name,
        layer=compressed.layer_of(name),
        reach=bins.reach,
        before=[] if before is None else bins.counts(before),
        after=bins.counts(after[after != 0]),
        zeros=int((after == 0).sum()),
        bits=stored.grid.bits if isinstance(stored, QuantizedWeight) else None,
        error=None if before is None or before.shape != after.shape else _error(before, after),
    )


def _error(before: Tensor, after: Tensor) -> float:
    return float((after - before).square().sum() / before.square().sum().clamp(min=torch.finfo(torch.float32).tiny))


def head_energies(session: Warm, recipe: Recipe, baseline: CompressedModel, job: Job) -> list[list[float]]:
    """E |W_h x_h|^2 of every head of every layer, which `methods.prune_channels` calls energy: [layer][head]."""
    recipe = recipe.replace(calibration=recipe.calibration.model_copy(update={"statistics": "baseline"}))
    context = StepContext(job, session, recipe, baseline)
    heads, anatomy = baseline.facts.heads, baseline.facts.anatomy
    names = {anatomy.weight(layer, anatomy.attention.output): layer for layer in range(baseline.depth)}
    found: dict[int, list[float]] = {}
    for group, statistics in context.with_statistics(baseline, list(names)):
        for name in group:
            site = Site(name, names[name], False, heads.count, heads.dim, 1, heads.count)
            worth = energies(baseline.weight(name).float(), statistics.hessian.to(baseline.device).float(), site)
            found[names[name]] = [float(value) for value in worth]
    return [found[layer] for layer in sorted(found)]
