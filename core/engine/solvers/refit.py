"""Rounding and the grid's scales, in turn: a solve chooses codes for its scales, least squares scales for its codes.

Both lower one and the same loss, tr(D H D^T), so that it never rises for a row. At 2 bits, where scales that were found
before the solve fit worst, perplexity comes down with it; from 3 bits on it does not. Zero points stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from compresslab.engine.solvers.optimal_brain import Solved, Target, solve
from compresslab.engine.solvers.rounding import as_scales, in_groups
from torch import Tensor

MOST_BITS = 2
ROUNDS = 3
RIDGE = 1e-6  # of the mean of the normal equations' diagonal: codes of two groups may lean on each other
LARGEST_CHANGE = 3.0  # of a scale, in either direction: what is beyond comes from a group of hardly any codes


def pays(target: Target) -> bool:
    """Whether there is something to be had. Not where the step prunes: sparsity is exact in a matrix, not in a row."""
    return target.grid is not None and not target.prunes and target.grid.bits <= MOST_BITS


def solve_and_refit(
    weights: Sequence[Tensor],
    factor: Tensor,
    target: Target,
    hessian: Tensor,
    dampening: float,
    check: Callable[[], None],
    *,
    earlier: Tensor | None = None,
    order: Tensor | None = None,
) -> tuple[Target, Solved]:
    """As `solve`, where it pays: with the scales of least loss that were met on the way, row by row."""
    assert target.grid is not None
    solved = solve(weights, factor, target, check, earlier=earlier, order=order)
    weight, best, tried = torch.cat(list(weights)), solved, target
    ridge = dampening * float(hessian.diagonal().mean())
    for _ in range(ROUNDS):
        tried = replace(tried, scales=least_loss_scales(weight, solved.codes, tried, hessian, ridge))
        solved = solve(weights, factor, tried, check, earlier=earlier, order=order)
        target, best = _better((target, best), (tried, solved))
    return target, best


def least_loss_scales(weight: Tensor, codes: Tensor | None, target: Target, hessian: Tensor, ridge: float) -> Tensor:
    """float16 [rows, groups]: for every row the least squares of its groups, on the Hessian [d, d], the codes given."""
    grid, scales, zeros = target.grid, target.scales, target.zeros
    assert grid is not None and scales is not None and zeros is not None and codes is not None
    rows, columns = weight.shape
    size, groups = grid.group_size or columns, grid.groups(columns)
    offsets = codes.float() - zeros.float().repeat_interleave(size, dim=1)[:, :columns]
    normal, wanted = weight.new_empty(rows, groups, groups), weight.new_empty(rows, groups, 1)
    for group in range(groups):
        part = slice(group * size, min((group + 1) * size, columns))
        image = offsets[:, part] @ hessian[part]  # [rows, d]
        image[:, part] += ridge * offsets[:, part]
        normal[:, group] = in_groups(image * offsets, grid).sum(2)
        wanted[:, group, 0] = (image * weight).sum(1)
    return _plausible(_solution(normal, wanted), scales)


def _solution(normal: Tensor, wanted: Tensor) -> Tensor:
    """[rows, groups]; not finite where there is none."""
    diagonal = normal.diagonal(dim1=1, dim2=2)
    diagonal += RIDGE * diagonal.mean(1, keepdim=True) + torch.finfo(normal.dtype).tiny
    solution: Tensor = torch.linalg.solve_ex(normal, wanted).result
    return solution.squeeze(2)


def _plausible(found: Tensor, before: Tensor) -> Tensor:
    change = found / before.float()
    usable = change.isfinite() & (change > 1 / LARGEST_CHANGE) & (change < LARGEST_CHANGE)
    return torch.where(usable, as_scales(found), before)


def _better(first: tuple[Target, Solved], second: tuple[Target, Solved]) -> tuple[Target, Solved]:
    """Of two solves on grids of the same zero points: for every row the one of less loss."""
    (target, one), (other_target, other) = first, second
    assert target.scales is not None and other_target.scales is not None
    assert one.codes is not None and other.codes is not None
    loses = (other.loss < one.loss).unsqueeze(1)
    chosen = Solved(
        torch.where(loses, other.weight, one.weight),
        torch.where(loses, other.codes, one.codes),
        one.mask,  # of earlier zeros alone: the same in both
        torch.where(loses.squeeze(1), other.loss, one.loss),
    )
    return replace(target, scales=torch.where(loses, other_target.scales, target.scales)), chosen
