"""Half-quadratic search for a grid: scales and zero points for which most weights lie close to it, outliers aside.

Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models" (mobiusml.github.io/hqq_blog): the
l_p error, p < 1, is split in two: a sparse part, by shrinkage, and the rest, by least squares. There the zero point is
free and the scale is fixed; here zero points are stored as integers, so that the scale moves as well. Of the grids on
the way the one of least squares is taken: by l_p, per row, so many weights are clipped at 3 bits that plain rounding
does better. A scale of least error shrinks the weights: at the end every group gets its strength back.
"""

from __future__ import annotations

import torch
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight, unbiased
from compresslab.grids.grid import Grid, Parameters
from torch import Tensor

POWER = 0.7  # p, as published
BETA, GROWTH = 1.0, 1.01  # weight of the quadratic part, for errors in units of the scale, and how it grows
STEPS = 20
SMALLEST_ERROR = 1e-4  # of the scale: |e|^(p-1) has no end at zero


def half_quadratic(weight: Tensor, grid: Grid) -> QuantizedWeight:
    """The weight on the best grid on the way, that of `fit` included, and without the shrinking that comes with it."""
    values = grid.in_groups(weight)  # [r, g, size]
    best = parameters = grid.fit(weight)
    points, least = _nearest(values, parameters, grid)
    for step in range(STEPS):
        close = _close(values, points, grid.scales(parameters).unsqueeze(2), BETA * GROWTH**step)
        parameters = grid.refitted(close, values, points, parameters)
        points, error = _nearest(values, parameters, grid)
        better = error < least
        least = torch.where(better, error, least)
        best = _where(better, parameters, best)
    return unbiased(weight, Fitted(grid, best).round(weight), torch.ones_like(weight[0]))


def _nearest(values: Tensor, parameters: Parameters, grid: Grid) -> tuple[Tensor, Tensor]:
    """Points [r, g, size], in units of the scale, of every weight, and the squared error of every group [r, g]."""
    scales = grid.scales(parameters).unsqueeze(2)
    points = grid.nearest(values / scales, parameters, overwrite=True)
    lost = values - points * scales
    return points, lost.square_().sum(2)


def _close(values: Tensor, points: Tensor, scales: Tensor, beta: float) -> Tensor:
    """The values without the sparse part of their error: what the next grid is to fit."""
    return values - _shrunk(values / scales - points, beta) * scales


def _where(chosen: Tensor, these: Parameters, those: Parameters) -> Parameters:
    """Of groups [r, g] that are chosen these parameters, of the others those."""
    return {
        name: torch.where(chosen.view(*chosen.shape, *[1] * (each.ndim - 2)), each, those[name])
        for name, each in these.items()
    }


def _shrunk(errors: Tensor, beta: float) -> Tensor:
    """The generalised soft threshold for l_p: sign(e) * max(0, |e| - |e|^(p-1) / beta)."""
    size = errors.abs().clamp(min=SMALLEST_ERROR)
    return errors.sign() * (size - size ** (POWER - 1) / beta).clamp(min=0)
