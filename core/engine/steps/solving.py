"""Walking a model with the solver: matrices that share an input, and their settings, are solved in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from compresslab.engine.inputs.calibration import InputStatistics, Unfactorable
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.optimal_brain import Solved, Target, solve
from compresslab.engine.solvers.refit import pays, solve_and_refit
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight, round_to_nearest, unbiased
from compresslab.engine.steps.context import StepContext
from compresslab.grids.grid import Grid
from compresslab.recipes.layerwise import LayerMethod, Quantizer
from torch import Tensor

M = TypeVar("M", bound=LayerMethod)
FAINT = 1e-4  # of the mean: what a channel that is never active counts in the search for scales


def solve_groups(
    model: CompressedModel,
    chosen: Mapping[str, M],
    context: StepContext,
    solve_group: Callable[[Sequence[str], M, InputStatistics], None],
    instead: Callable[[str, M], None],
    beside: Callable[[Sequence[str]], Sequence[str]] = lambda group: (),
) -> None:
    """Call `solve_group` for all matrices that share an input and settings, in forward order.

    It may change the weights named by `beside` as well. An input whose Hessian can't be factorised gets `instead`,
    matrix by matrix, and the record says so.
    """
    for names, statistics in context.with_statistics(model, list(chosen), drift=True):
        for group, own in alike(names, chosen):
            make = partial(_solve_or, solve_group, instead, group, own, statistics, context)
            context.solve(model, [*group, *beside(group)], own, make)


def _solve_or(
    solve_group: Callable[[Sequence[str], M, InputStatistics], None],
    instead: Callable[[str, M], None],
    group: Sequence[str],
    own: M,
    statistics: InputStatistics,
    context: StepContext,
) -> None:
    try:
        solve_group(group, own, statistics)
    except Unfactorable:
        context.job.notice("solve.no_factor", weights=group)
        for name in group:
            instead(name, own)


def alike(names: Sequence[str], chosen: Mapping[str, M]) -> Iterator[tuple[list[str], M]]:
    """Those of the same settings together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(chosen[name].model_dump_json(), []).append(name)
    for group in groups.values():
        yield group, chosen[group[0]]


def order_of(statistics: InputStatistics, *, active_first: bool) -> Tensor | None:
    """The channels with the most active one first (act-order), or None for the order in which they are stored."""
    return statistics.hessian.diagonal().argsort(descending=True, stable=True) if active_first else None


def fitted(weight: Tensor, grid: Grid, statistics: InputStatistics, *, searched: bool) -> Fitted:
    """The grid of matrices [rows, d], fitted before anything is solved: so no order needs an index (static groups)."""
    return Fitted(grid, grid.search(weight, importance(statistics)) if searched else grid.fit(weight))


def importance(statistics: InputStatistics) -> Tensor:
    """What an error in a weight of each channel counts: [d], never zero."""
    active = statistics.hessian.diagonal()
    return active + FAINT * active.mean()


def stacked(model: CompressedModel, names: Sequence[str]) -> Tensor:
    """Matrices that share an input, one below the other: [rows, d]."""
    return torch.cat([model.weight(name) for name in names])


def stacked_mask(model: CompressedModel, names: Sequence[str]) -> Tensor | None:
    """Earlier zeros of stacked matrices; None where there are none at all."""
    if not any(name in model.masks for name in names):
        return None
    whole = [model.masks.get(name) for name in names]
    shapes = [model.weights[name].shape for name in names]
    device = model.device
    return torch.cat(
        [
            torch.zeros(s, dtype=torch.bool, device=device) if m is None else m
            for m, s in zip(whole, shapes, strict=True)
        ]
    )


def put(model: CompressedModel, names: Sequence[str], stored: QuantizedWeight) -> None:
    """Put stacked matrices on a grid into the model."""
    begin = 0
    for name in names:
        rows = slice(begin, begin := begin + model.weights[name].shape[0])
        model.quantize(name, stored.rows(rows))


def take_over(model: CompressedModel, names: Sequence[str], solved: Solved, *, prunes: bool) -> None:
    """Put a stacked solve into the model, matrix by matrix."""
    begin = 0
    for name in names:
        rows = slice(begin, begin := begin + model.weights[name].shape[0])
        if solved.mask is not None and prunes:
            model.settle({name: solved.weight[rows]})
            model.prune(name, solved.mask[rows])
        elif solved.stored is None:
            model.settle({name: solved.weight[rows]})
        if solved.stored is not None:
            model.quantize(name, solved.stored.rows(rows))


def run(
    model: CompressedModel,
    names: Sequence[str],
    weight: Tensor,
    target: Target,
    statistics: InputStatistics,
    context: StepContext,
    *,
    dampening: float,
    order: Tensor | None,
    refit: bool = False,
    keep_strength: bool = False,
) -> None:
    """Solve stacked matrices `weight` and put them into the model, with `refit` on scales that fit the codes as well.

    Raises Unfactorable, Cancelled.
    """
    factor = statistics.factor(dampening, order)
    weights = weight.split([model.weights[name].shape[0] for name in names])
    earlier = stacked_mask(model, names)
    if refit and target.fitted is not None and pays(target):
        hessian, check = statistics.hessian, context.check
        solved = solve_and_refit(
            weights, factor, target.fitted, hessian, dampening, check, earlier=earlier, order=order
        )
    else:
        solved = solve(weights, factor, target, context.check, earlier=earlier, order=order)
    if keep_strength and solved.stored is not None:
        solved = replace(solved, stored=unbiased(weight, solved.stored, importance(statistics)))
    take_over(model, names, solved, prunes=target.prunes)


def round_outside(model: CompressedModel, chosen: Mapping[str, Quantizer]) -> None:
    """Word and output tables have no input that statistics were taken of: they are rounded to nearest."""
    for name, own in chosen.items():
        grid = own.grid_for(model.weights[name])
        if grid is not None and model.weights[name].role != "linear":
            model.quantize(name, round_to_nearest(model.weight(name), grid))
