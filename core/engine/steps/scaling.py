"""Which scales of input channels make rounding cost least, and rounding with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.optimal_brain import Target, solve
from compresslab.engine.solvers.rounding import round_to_nearest, unbiased
from compresslab.engine.steps import solving
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.folding import Fold
from compresslab.grids.grid import Grid
from torch import Tensor

EXPONENTS = 20  # from 0, which scales nothing, to just below 1
FAINTEST = 1e-4  # of the strongest channel: what a channel that is hardly active counts


def quantize_scaled(
    model: CompressedModel,
    names: Sequence[str],
    grid: Grid,
    statistics: InputStatistics,
    fold: Fold | None,
    context: StepContext,
    *,
    dampening: float,
    solved: bool,
    searched: bool,
    keep_strength: bool,
) -> None:
    """Round matrices that share an input, scaled where there is a fold; by the GPTQ solve where that is asked for.

    Raises Unfactorable, Cancelled.
    """
    weight = statistics.aim(solving.stacked(model, names), dampening)
    scales = torch.ones(weight.shape[1], device=weight.device)
    if fold is not None:
        scales = best_scales(weight, grid, statistics, fold, context)
    scaled = _scaled(statistics, scales)
    order = solving.order_of(scaled, active_first=True) if solved else None
    factor = scaled.factor(dampening, order) if solved else None  # before anything is changed: it may fail
    if fold is not None:
        scales = fold.divide(model, scales)
    weight = weight * scales
    fitted = solving.fitted(weight, grid, scaled, searched=searched)
    if factor is None:
        stored = fitted.round(weight)
    else:
        earlier = solving.stacked_mask(model, names)
        stored = solve([weight], factor, Target(fitted), context.check, earlier=earlier, order=order).quantized
    if keep_strength:
        stored = unbiased(weight, stored, solving.importance(scaled))
    solving.put(model, names, stored)


def quantize_smoothed(
    model: CompressedModel,
    names: Sequence[str],
    grid: Grid,
    alpha: float,
    statistics: InputStatistics,
    fold: Fold | None,
) -> None:
    """Share the burden of strong inputs out where there is a fold, then round to nearest."""
    scales = torch.ones_like(statistics.peaks)
    if fold is not None:
        largest = solving.stacked(model, names).abs().amax(0)
        wanted = _positive(statistics.peaks) ** alpha / _positive(largest) ** (1 - alpha)
        scales = fold.divide(model, fold.allowed(wanted))
    for name in names:
        model.quantize(name, round_to_nearest(model.weight(name) * scales, grid))


def best_scales(weight: Tensor, grid: Grid, statistics: InputStatistics, fold: Fold, context: StepContext) -> Tensor:
    """The scales [d] of all exponents tried with the least error of what the matrices [r, d] give."""
    least, best = float("inf"), torch.ones_like(statistics.norms)
    for step in range(EXPONENTS):
        context.check()
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
