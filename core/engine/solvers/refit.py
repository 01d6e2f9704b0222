"""Rounding and the grid's scales, in turn: a solve chooses codes for its scales, least squares scales for its codes.

Both lower one and the same loss, tr(D H D^T), so that it never rises for a row. At 2 bits, where scales that were found
before the solve fit worst, perplexity comes down with it; from 3 bits on it does not. Zero points stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from compresslab.engine.solvers.optimal_brain import Solved, Target, solve
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight
from torch import Tensor

MOST_BITS = 2
ROUNDS = 3
RIDGE = 1e-6  # of the mean of the normal equations' diagonal: codes of two groups may lean on each other
NORMAL_BYTES = 256 * 2**20  # of normal equations at a time, and as much again while they are solved
LARGEST_CHANGE = 3.0  # of a scale, in either direction: what is beyond comes from a group of hardly any codes


def pays(target: Target) -> bool:
    """Whether there is something to be had. Not where the step prunes: sparsity is exact in a matrix, not in a row."""
    return target.fitted is not None and not target.prunes and target.fitted.grid.bits <= MOST_BITS


def solve_and_refit(
    weights: Sequence[Tensor],
    factor: Tensor,
    fitted: Fitted,
    hessian: Tensor,
    dampening: float,
    check: Callable[[], None],
    *,
    earlier: Tensor | None = None,
    order: Tensor | None = None,
) -> Solved:
    """As `solve` on a grid, where it pays: with the scales of least loss that were met on the way, row by row."""
    solved = best = solve(weights, factor, Target(fitted), check, earlier=earlier, order=order)
    weight, grid = torch.cat(list(weights)), fitted.grid
    ridge = dampening * float(hessian.diagonal().mean())
    for _ in range(ROUNDS):
        scales = least_loss_scales(weight, solved.quantized, hessian, ridge)
        fitted = Fitted(grid, grid.rescaled(fitted.parameters, scales))
        solved = solve(weights, factor, Target(fitted), check, earlier=earlier, order=order)
        best = _better(best, solved)
    return best


def least_loss_scales(weight: Tensor, stored: QuantizedWeight, hessian: Tensor, ridge: float) -> Tensor:
    """float32 [rows, groups]: for every row the least squares of its groups, on the Hessian [d, d], the codes given.

    Rows know nothing of each other: as many are done at once as `NORMAL_BYTES` has room for.
    """
    rows, groups = stored.scales.shape
    at_once = max(1, NORMAL_BYTES // (groups * groups * weight.element_size()))
    found = [_least_squares(weight, stored, hessian, ridge, slice(n, n + at_once)) for n in range(0, rows, at_once)]
    return _plausible(torch.cat(found), stored.scales)


def _least_squares(weight: Tensor, stored: QuantizedWeight, hessian: Tensor, ridge: float, rows: slice) -> Tensor:
    """[rows, groups]: the normal equations are [groups, groups] for each row."""
    grid, columns, weight = stored.grid, weight.shape[1], weight[rows]
    size, groups = grid.group_size or columns, grid.groups(columns)
    points = grid.points(stored.codes[rows], {name: each[rows] for name, each in stored.parameters.items()})
    normal, wanted = weight.new_empty(len(weight), groups, groups), weight.new_empty(len(weight), groups, 1)
    for group in range(groups):
        part = slice(group * size, min((group + 1) * size, columns))
        image = points[:, part] @ hessian[part]  # [rows, d]
        image[:, part] += ridge * points[:, part]
        normal[:, group] = grid.in_groups(image * points).sum(2)
        wanted[:, group, 0] = (image * weight).sum(1)
    return _solution(normal, wanted)


def _solution(normal: Tensor, wanted: Tensor) -> Tensor:
    """[rows, groups]; not finite where there is none."""
    diagonal = normal.diagonal(dim1=1, dim2=2)
    diagonal += RIDGE * diagonal.mean(1, keepdim=True) + torch.finfo(normal.dtype).tiny
    solution: Tensor = torch.linalg.solve_ex(normal, wanted).result
    return solution.squeeze(2)


def _plausible(found: Tensor, before: Tensor) -> Tensor:
    change = found / before
    usable = change.isfinite() & (change > 1 / LARGEST_CHANGE) & (change < LARGEST_CHANGE)
    return torch.where(usable, found, before)


def _better(first: Solved, second: Solved) -> Solved:
    """Of two solves on grids that differ in their scales: for every row the one of less loss."""
    loses = (second.loss < first.loss).unsqueeze(1)
    one, other = first.quantized, second.quantized
    parameters = {name: torch.where(loses, other.parameters[name], each) for name, each in one.parameters.items()}
    return Solved(
        torch.where(loses, second.weight, first.weight),
        QuantizedWeight(torch.where(loses, other.codes, one.codes), parameters, one.grid),
        first.mask,  # of earlier zeros alone: the same in both
        torch.where(loses.squeeze(1), second.loss, first.loss),
    )
