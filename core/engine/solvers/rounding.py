"""Affine grids: rounding weights to them, and back.

The scale of a group is rounded to float16, as it will be stored, *before* the codes are computed: the file gives
back the very weights that were measured. Zero is always on the grid, so that pruned weights stay exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from compresslab.models.weights import Grid
from torch import Tensor

SMALLEST_SCALE = 2.0**-24  # the smallest float16 above zero
LARGEST_SCALE = 65504.0  # the largest float16
SEARCH_STEPS = 20
PART = 2**18  # weights that are searched at a time: a few copies of them stay in a core's cache
LARGEST_GAIN = 2.0  # by which a group is made stronger again: nearly nothing may be left of it at 2 bits
SHRINK = {2: 0.6, 3: 0.5, 4: 0.4, 5: 0.3, 6: 0.3, 7: 0.2, 8: 0.2}  # by bits: the share of the range given up at most


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight on its grid: weight = (code - zero) * scale, in float32."""

    codes: Tensor  # uint8 [rows, columns]
    scales: Tensor  # float16 [rows, groups]
    zeros: Tensor | None  # uint8 [rows, groups]; None on a symmetric grid, whose zero is 2^(bits-1)
    grid: Grid

    def dequantize(self) -> Tensor:
        """The weight that the codes stand for: float32 [rows, columns]."""
        offsets = self.codes.float() - self._spread(self._zeros().float())
        return offsets * self._spread(self.scales.float())

    def with_zeros(self, mask: Tensor) -> QuantizedWeight:
        """The same grid, with the code of zero wherever the mask is True."""
        zeros = self._spread(self._zeros())
        return replace(self, codes=torch.where(mask, zeros, self.codes))

    def _zeros(self) -> Tensor:
        if self.zeros is not None:
            return self.zeros
        return torch.full(self.scales.shape, 2 ** (self.grid.bits - 1), dtype=torch.uint8, device=self.codes.device)

    def _spread(self, groups: Tensor) -> Tensor:
        """[rows, groups] -> [rows, columns]: each group's value for all of its weights."""
        columns = self.codes.shape[1]
        size = self.grid.group_size or columns
        return groups.repeat_interleave(size, dim=1)[:, :columns]


def round_to_nearest(weight: Tensor, grid: Grid) -> QuantizedWeight:
    """Every weight moved to the nearest point of its group's grid. `weight` is float32 [rows, columns]."""
    return on_grid(weight, *fit(weight, grid), grid)


def on_grid(weight: Tensor, scales: Tensor, zeros: Tensor, grid: Grid) -> QuantizedWeight:
    """Every weight moved to the nearest point of a grid that is given."""
    grouped = in_groups(weight, grid)
    codes = codes_of(grouped, scales, zeros, grid).to(torch.uint8)
    codes = codes.flatten(1)[:, : weight.shape[1]].contiguous()
    return QuantizedWeight(codes, scales, None if grid.symmetric else zeros, grid)


def fit(weight: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Scales, float16, and zero points, uint8, both [rows, groups], that cover every weight of a group."""
    return _spanning(_extent(in_groups(weight, grid), grid), grid)


def search(weight: Tensor, grid: Grid, importance: Tensor) -> tuple[Tensor, Tensor]:
    """As `fit`, but the range shrunk to where the error, weighted by each channel's importance [d], is least.

    Outlying weights are clipped where that buys a finer step for all the others, as in GPTQ's code.
    """
    weights = in_groups(importance[None], grid)  # [1, g, size]
    parts = in_groups(weight, grid).split(max(1, PART // weight.shape[1]))
    found = [_best(part, grid, weights) for part in parts]
    return torch.cat([scales for scales, _ in found]), torch.cat([zeros for _, zeros in found])


def _best(grouped: Tensor, grid: Grid, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Of groups [r, g, size]: scales and zero points [r, g] of the candidate with the least error."""
    shrunk = torch.linspace(1, 1 - SHRINK[grid.bits], SEARCH_STEPS, device=grouped.device)[:, None, None]
    scales, zeros = _spanning(tuple(end * shrunk for end in _extent(grouped, grid)), grid)  # [steps, r, g]
    errors = [_error(grouped, *tried, grid, weights) for tried in zip(scales, zeros, strict=True)]
    best = torch.stack(errors).min(0, keepdim=True).indices  # argmin is far slower
    return scales.gather(0, best)[0], zeros.gather(0, best)[0]


def unbiased(weight: Tensor, quantized: QuantizedWeight, importance: Tensor) -> QuantizedWeight:
    """The same codes, every group's scale such that its projection on the unrounded weights is one: <w, q> = <w, w>.

    Clipping, and rounding to few levels, shrink a group; what is a little too weak everywhere adds up from layer to
    layer, where errors of either sign do not. Inner products are weighted by each channel's importance [d].
    """
    grid = quantized.grid
    grouped, weights = in_groups(weight, grid), in_groups(importance[None], grid)  # [r, g, size], [1, g, size]
    rounded = in_groups(quantized.dequantize(), grid)
    gain = (grouped.square() * weights).sum(2) / (grouped * rounded * weights).sum(2)
    gain = torch.where(gain.isfinite() & (gain > 0), gain, 1.0).clamp(1 / LARGEST_GAIN, LARGEST_GAIN)
    return replace(quantized, scales=as_scales(quantized.scales.float() * gain))


def codes_of(grouped: Tensor, scales: Tensor, zeros: Tensor, grid: Grid) -> Tensor:
    """Float codes [r, g, size]."""
    codes = (grouped / scales.float().unsqueeze(2)).round_().add_(zeros.float().unsqueeze(2))
    return codes.clamp_(0, 2**grid.bits - 1)


def _error(grouped: Tensor, scales: Tensor, zeros: Tensor, grid: Grid, weights: Tensor) -> Tensor:
    """Sum of every group's errors, to the power 2.5, weighted: [r, g].

    A power above two spares outlying weights: with squares so many are clipped that at 2 and 3 bits whole groups
    become too weak. GPTQ's code takes 2.4; a square root is far quicker. In steps of the grid first: fewer passes.
    """
    steps, middle = scales.float().unsqueeze(2), zeros.float().unsqueeze(2)
    exact = grouped / steps
    missed = exact.round().add_(middle).clamp_(0, 2**grid.bits - 1).sub_(middle).sub_(exact).abs_()
    size = steps.squeeze(2).abs_()
    return missed.sqrt().mul_(missed.square_()).mul_(weights).sum(2).mul_(size.sqrt() * size.square())


def in_groups(weight: Tensor, grid: Grid) -> Tensor:
    """[rows, groups, size]; a short last group is filled up with zeros, which move no grid."""
    rows, columns = weight.shape
    size = grid.group_size or columns
    missing = grid.groups(columns) * size - columns
    if missing:
        weight = torch.nn.functional.pad(weight, (0, missing))
    return weight.view(rows, -1, size) if weight.is_contiguous() else weight.reshape(rows, -1, size)


def _extent(grouped: Tensor, grid: Grid) -> tuple[Tensor, ...]:
    """What the grid of every group must reach, [r, g] each: the weight of largest magnitude where the grid is
    symmetric; the lowest and the highest weight, zero among them, where it is not."""
    if grid.symmetric:
        return (grouped.gather(2, grouped.abs().argmax(2, keepdim=True)).squeeze(2),)
    return grouped.amin(2).clamp(max=0), grouped.amax(2).clamp(min=0)


def _spanning(extent: tuple[Tensor, ...], grid: Grid) -> tuple[Tensor, Tensor]:
    """Scales and zero points, [..., r, g], of grids that just reach that far.

    Symmetric: the weight of largest magnitude falls on the lowest code, -2^(bits-1), whatever its sign; so all levels
    are in use, and the scale is negative where that weight is positive. Otherwise an integer zero point in the range.
    """
    if grid.symmetric:
        half = 2 ** (grid.bits - 1)
        scales = as_scales(extent[0] / -half)
        return scales, torch.full(scales.shape, half, dtype=torch.uint8, device=scales.device)
    levels = 2**grid.bits - 1
    low, high = extent
    scales = as_scales((high - low) / levels)
    return scales, (-low / scales.float()).round().clamp(0, levels).to(torch.uint8)


def as_scales(scales: Tensor) -> Tensor:
    """As stored: never infinite, and never zero, so that one can divide by it."""
    small = scales.abs() < SMALLEST_SCALE
    sign = torch.where(scales < 0, -1.0, 1.0)
    return torch.where(small, sign * SMALLEST_SCALE, scales.clamp(-LARGEST_SCALE, LARGEST_SCALE)).half()
