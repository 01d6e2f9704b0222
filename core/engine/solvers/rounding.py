"""Weights on a grid: rounding to the nearest point, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from compresslab.grids.grid import Grid, Parameters
from torch import Tensor

LARGEST_GAIN = 2.0  # by which a group is made stronger again: nearly nothing may be left of it at 2 bits


@dataclass(frozen=True)
class Fitted:
    """A grid with the parameters that were found for the rows of a matrix, or of several, one below the other."""

    grid: Grid
    parameters: Parameters

    def rows(self, rows: slice) -> Fitted:
        return replace(self, parameters={name: each[rows] for name, each in self.parameters.items()})

    def round(self, weight: Tensor) -> QuantizedWeight:
        """Every weight, float32 [rows, columns], moved to the nearest point."""
        return QuantizedWeight(self.grid.round(weight, self.parameters), self.parameters, self.grid)

    def at(self, points: Tensor) -> QuantizedWeight:
        """The weights at these points, float32 [rows, columns] in units of the scale, which may be overwritten."""
        codes = self.grid.codes(self.grid.in_groups(points), self.parameters)
        codes = codes.flatten(1)[:, : points.shape[1]].contiguous()
        return QuantizedWeight(codes, self.parameters, self.grid)


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight as it is stored on its grid."""

    codes: Tensor  # uint8 [rows, columns]
    parameters: Parameters
    grid: Grid

    def dequantize(self) -> Tensor:
        """The weight that the codes stand for: float32 [rows, columns]."""
        return self.grid.value(self.codes, self.parameters)

    @property
    def scales(self) -> Tensor:
        """float32 [rows, groups]."""
        return self.grid.scales(self.parameters)

    def rescaled(self, scales: Tensor) -> QuantizedWeight:
        """The same codes with other scales, rounded as they will be stored."""
        return replace(self, parameters=self.grid.rescaled(self.parameters, scales))

    def with_zeros(self, mask: Tensor) -> QuantizedWeight:
        """The same grid, with the code of zero wherever the mask is True."""
        zeros = self.grid.spread(self.grid.zero_codes(self.parameters), self.codes.shape[1])
        return replace(self, codes=torch.where(mask, zeros, self.codes))

    def rows(self, rows: slice) -> QuantizedWeight:
        parameters = {name: each[rows] for name, each in self.parameters.items()}
        return replace(self, codes=self.codes[rows], parameters=parameters)

    def to(self, device: torch.device) -> QuantizedWeight:
        parameters = {name: each.to(device) for name, each in self.parameters.items()}
        return replace(self, codes=self.codes.to(device), parameters=parameters)


def round_to_nearest(weight: Tensor, grid: Grid) -> QuantizedWeight:
    """Every weight moved to the nearest point of its group's grid. `weight` is float32 [rows, columns]."""
    return Fitted(grid, grid.fit(weight)).round(weight)


def unbiased(weight: Tensor, quantized: QuantizedWeight, importance: Tensor) -> QuantizedWeight:
    """The same codes, every group's scale such that its projection on the unrounded weights is one: <w, q> = <w, w>.

    Clipping, and rounding to few levels, shrink a group; what is a little too weak everywhere adds up from layer to
    layer, where errors of either sign do not. Inner products are weighted by each channel's importance [d].
    """
    grid = quantized.grid
    grouped, weights = grid.in_groups(weight), grid.in_groups(importance[None])  # [r, g, size], [1, g, size]
    rounded = grid.in_groups(quantized.dequantize())
    gain = (grouped.square() * weights).sum(2) / (grouped * rounded * weights).sum(2)
    gain = torch.where(gain.isfinite() & (gain > 0), gain, 1.0).clamp(1 / LARGEST_GAIN, LARGEST_GAIN)
    return quantized.rescaled(quantized.scales * gain)
