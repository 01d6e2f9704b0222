"""Which scales of input channels make rounding cost least, and rounding with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.engine.steps.folding import Fold
from compresslab.engine.steps.gptq import Rounding, rounded
from compresslab.engine.steps.groups import Group, SolvedGroup
from compresslab.grids.grid import Grid
from torch import Tensor

EXPONENTS = 20  # from 0, which scales nothing, to just below 1
FAINTEST = 1e-4  # of the strongest channel: what a channel that is hardly active counts


def awq(group: Group, rounding: Rounding, fold: Fold | None, model: CompressedModel) -> SolvedGroup:
    """Matrices on a grid, scaled where there is a fold. Raises Unfactorable, Cancelled."""
    statistics = group.statistics
    weight = statistics.aim(group.weight, rounding.dampening)
    if fold is None:
        return SolvedGroup(stored=rounded(group, weight, statistics, rounding))
    scales = best_scales(weight, rounding.grid, statistics, fold, group.check)
    divided = fold.divided(model, scales)
    stored = rounded(group, weight * divided.scales, _scaled(statistics, scales), rounding)
    return SolvedGroup(stored=stored, others=divided.changed)


def smoothquant(group: Group, grid: Grid, alpha: float, fold: Fold | None, model: CompressedModel) -> SolvedGroup:
    """Matrices rounded to nearest, the burden of strong inputs shared out before where there is a fold."""
    if fold is None:
        return SolvedGroup(stored=round_to_nearest(group.weight, grid))
    peaks, largest = group.statistics.peaks, group.weight.abs().amax(0)
    wanted = _positive(peaks) ** alpha / _positive(largest) ** (1 - alpha)
    divided = fold.divided(model, fold.allowed(wanted))
    return SolvedGroup(stored=round_to_nearest(group.weight * divided.scales, grid), others=divided.changed)


def best_scales(
    weight: Tensor, grid: Grid, statistics: InputStatistics, fold: Fold, check: Callable[[], None]
) -> Tensor:
    """The scales [d] of all exponents tried with the least error of what the matrices [r, d] give."""
    least, best = float("inf"), torch.ones_like(statistics.norms)
    for step in range(EXPONENTS):
        check()
        scales = fold.allowed(_strengths(statistics.norms, step / EXPONENTS))
        lost = round_to_nearest(weight * scales, grid).dequantize() / scales - weight
        error = float(((lost @ statistics.hessian) * lost).sum())
        if error < least:
            least, best = error, scales
    return best


def _strengths(norms: Tensor, exponent: float) -> Tensor:
    """norms^exponent, so that the smallest and the largest are as far from 1."""
    raised = _positive(norms) ** exponent
    return raised / (raised.max() * raised.min()).sqrt()


def _positive(strengths: Tensor) -> Tensor:
    """A channel that is never active counts a little, so that no scale is zero or without end."""
    return strengths.clamp(min=max(FAINTEST * float(strengths.max()), torch.finfo(strengths.dtype).tiny))


def _scaled(statistics: InputStatistics, scales: Tensor) -> InputStatistics:
    """Of the input divided by the scales."""
    hessian = statistics.hessian / scales.outer(scales)
    return InputStatistics(statistics.tokens, statistics.mean / scales, statistics.peaks / scales, hessian)
