"""GPTQ's and SparseGPT's solve on a group of matrices, and rounding beside it."""

from __future__ import annotations

from dataclasses import dataclass

from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.solvers.least_squares import refine
from compresslab.engine.solvers.optimal_brain import Target, solve
from compresslab.engine.solvers.refit import pays, solve_and_refit
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight, unbiased
from compresslab.engine.steps.groups import Group, SolvedGroup
from compresslab.grids.grid import Grid
from torch import Tensor

FAINT = 1e-4  # of the mean: what a channel that is never active counts in the search for scales


@dataclass(frozen=True)
class Rounding:
    """How matrices are put on a grid."""

    grid: Grid
    dampening: float  # fraction of the mean Hessian diagonal that is added to it
    searched: bool  # the range of every group fitted to what errors count, or such that it reaches every weight
    solved: bool = True  # the weights still free make up for the error; else each is rounded by itself
    active_first: bool = True  # channels by descending Hessian diagonal (act-order), or as they are stored
    refit: bool = False  # scales fitted to the codes as well, where that pays
    keep_strength: bool = False  # every group's projection on the unrounded weights made one


def gptq(group: Group, rounding: Rounding) -> SolvedGroup:
    """Matrices on a grid, such that they give of the input what they gave. Raises Unfactorable, Cancelled."""
    statistics = group.statistics
    weight = statistics.aim(group.weight, rounding.dampening, _order(statistics, rounding))
    return SolvedGroup(stored=rounded(group, weight, statistics, rounding))


def rounded(group: Group, weight: Tensor, statistics: InputStatistics, rounding: Rounding) -> QuantizedWeight:
    """`weight` [rows, d], which stands in for that of the group, on its grid. Raises Unfactorable, Cancelled."""
    fitted = fit(weight, rounding.grid, statistics, searched=rounding.searched)
    stored = _solved(group, weight, statistics, fitted, rounding) if rounding.solved else fitted.round(weight)
    return unbiased(weight, stored, importance(statistics)) if rounding.keep_strength else stored


def _solved(
    group: Group, weight: Tensor, statistics: InputStatistics, fitted: Fitted, rounding: Rounding
) -> QuantizedWeight:
    order = _order(statistics, rounding)
    factor, weights, target = statistics.factor(rounding.dampening, order), weight.split(group.rows), Target(fitted)
    if not (rounding.refit and pays(target)):
        return solve(weights, factor, target, group.check, earlier=group.earlier, order=order).quantized
    hessian = statistics.hessian
    return solve_and_refit(
        weights, factor, fitted, hessian, rounding.dampening, group.check, earlier=group.earlier, order=order
    ).quantized


def _order(statistics: InputStatistics, rounding: Rounding) -> Tensor | None:
    return order_of(statistics, active_first=rounding.active_first)


def sparsegpt(
    group: Group,
    *,
    sparsity: float,
    pattern: tuple[int, int] | None,
    grid: Grid | None,
    dampening: float,
    refinements: int,
) -> SolvedGroup:
    """Matrices with zeros, and on a grid where one is given; without one, refined by so many steps afterwards.

    Raises Unfactorable, Cancelled.
    """
    statistics = group.statistics
    weight = statistics.aim(group.weight, dampening)
    fitted = None if grid is None else fit(weight, grid, statistics, searched=True)
    target = Target(fitted, sparsity, pattern)
    factor = statistics.factor(dampening)
    solved = solve(weight.split(group.rows), factor, target, group.check, earlier=group.earlier)
    mask = solved.mask if target.prunes else None
    if solved.stored is not None:
        return SolvedGroup(mask=mask, stored=solved.stored)
    if mask is None or not refinements:
        return SolvedGroup(weight=solved.weight, mask=mask)
    return mended(group, mask, solved.weight, dampening=dampening, steps=refinements)


def mended(group: Group, mask: Tensor, start: Tensor, *, dampening: float, steps: int) -> SolvedGroup:
    """What remains of `start` [rows, d] makes up for what the mask takes away, by least squares. Raises Cancelled."""
    statistics = group.statistics
    weight = refine(
        group.as_stored(start).masked_fill_(mask, 0),
        group.weight,
        mask,
        statistics.hessian,
        drift=statistics.drift,
        dampening=dampening,
        steps=steps,
        check=group.check,
    )
    return SolvedGroup(weight=weight, mask=mask)


def order_of(statistics: InputStatistics, *, active_first: bool) -> Tensor | None:
    """The channels with the most active one first (act-order), or None for the order in which they are stored."""
    return statistics.hessian.diagonal().argsort(descending=True, stable=True) if active_first else None


def fit(weight: Tensor, grid: Grid, statistics: InputStatistics, *, searched: bool) -> Fitted:
    """The grid of matrices [rows, d], fitted before anything is solved: so no order needs an index (static groups)."""
    return Fitted(grid, grid.search(weight, importance(statistics)) if searched else grid.fit(weight))


def importance(statistics: InputStatistics) -> Tensor:
    """What an error in a weight of each channel counts: [d], never zero."""
    active = statistics.hessian.diagonal()
    return active + FAINT * active.mean()
