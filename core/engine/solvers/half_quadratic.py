"""Half-quadratic search for a grid: scales and zero points for which most weights lie close to it, outliers aside.

Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models" (mobiusml.github.io/hqq_blog): the
l_p error, p < 1, is split in two: a sparse part, by shrinkage, and the rest, by least squares. There the zero point is
free and the scale is fixed; here zero points are stored as integers, so that the scale moves as well. Of the grids on
the way the one of least squares is taken: by l_p, per row, so many weights are clipped at 3 bits that plain rounding
does better. A scale of least error shrinks the weights: at the end every group gets its strength back.
"""

from __future__ import annotations

import torch
from compresslab.engine.solvers.rounding import QuantizedWeight, as_scales, codes_of, fit, in_groups, on_grid, unbiased
from compresslab.models.weights import Grid
from torch import Tensor

POWER = 0.7  # p, as published
BETA, GROWTH = 1.0, 1.01  # weight of the quadratic part, for errors in units of the scale, and how it grows
STEPS = 20
SMALLEST_ERROR = 1e-4  # of the scale: |e|^(p-1) has no end at zero


def half_quadratic(weight: Tensor, grid: Grid) -> QuantizedWeight:
    """The weight on the best grid on the way, that of `fit` included, and without the shrinking that comes with it."""
    values = in_groups(weight, grid)  # [r, g, size]
    best = scales, zeros = fit(weight, grid)
    offsets, least = _offsets(values, scales, zeros, grid)
    for step in range(STEPS):
        scales, zeros = _step(values, offsets, scales, zeros, grid, BETA * GROWTH**step)
        offsets, error = _offsets(values, scales, zeros, grid)
        better = error < least
        least = torch.where(better, error, least)
        best = torch.where(better, scales, best[0]), torch.where(better, zeros, best[1])
    return unbiased(weight, on_grid(weight, *best, grid), torch.ones_like(weight[0]))


def _offsets(values: Tensor, scales: Tensor, zeros: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Steps from zero [r, g, size] of every weight on its grid, and the squared error of every group [r, g]."""
    offsets = codes_of(values, scales, zeros, grid) - zeros.float().unsqueeze(2)
    lost = values - offsets * scales.float().unsqueeze(2)
    return offsets, lost.square_().sum(2)


def _step(
    values: Tensor, offsets: Tensor, scales: Tensor, zeros: Tensor, grid: Grid, beta: float
) -> tuple[Tensor, Tensor]:
    """The scales and zero points of least squares once the sparse part of the error is taken away."""
    scale = scales.float().unsqueeze(2)
    close = values - _shrunk(values / scale - offsets, beta) * scale
    if not grid.symmetric:
        moved = (offsets - close / scale).mean(2).round()
        zeros = (zeros.float() + moved).clamp(0, 2**grid.bits - 1).to(torch.uint8)
        offsets = codes_of(values, scales, zeros, grid) - zeros.float().unsqueeze(2)
    energy = offsets.square().sum(2)
    new = (offsets * close).sum(2) / energy.clamp(min=1)
    return as_scales(torch.where(energy > 0, new, scales.float())), zeros


def _shrunk(errors: Tensor, beta: float) -> Tensor:
    """The generalised soft threshold for l_p: sign(e) * max(0, |e| - |e|^(p-1) / beta)."""
    size = errors.abs().clamp(min=SMALLEST_ERROR)
    return errors.sign() * (size - size ** (POWER - 1) / beta).clamp(min=0)
