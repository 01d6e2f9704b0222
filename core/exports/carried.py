"""A grid carried in another one that holds it exactly: more bits, smaller groups, the same values.

Kernels know few widths, and want groups that divide a row. Three bits fit into four as they are, with scales
untouched; a row of 192 weights in groups of 128 is one of groups of 64 in which some scales repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from compresslab.models.weights import Grid

if TYPE_CHECKING:
    from compresslab.engine.solvers.rounding import QuantizedWeight
    from torch import Tensor


@dataclass(frozen=True)
class Carried:
    """weight = (code - zero) * scale, with a zero point for every group, also on a symmetric grid."""

    codes: Tensor  # uint8 [rows, columns]
    scales: Tensor  # float16 [rows, groups]
    zeros: Tensor  # uint8 [rows, groups]
    grid: Grid


def carrier(grid: Grid, columns: int, widths: tuple[int, ...]) -> Grid:
    """The grid of the first of these widths that is wide enough, in groups that divide a row."""
    bits = next(width for width in widths if width >= grid.bits)
    single = grid.groups(columns) == 1
    return Grid(bits, 0 if single else gcd(grid.group_size, columns), grid.symmetric)


def carry(quantized: QuantizedWeight, grid: Grid) -> Carried:
    """The weight on a carrier of its grid; nothing is rounded."""
    import torch

    columns = quantized.codes.shape[1]
    lift = 2 ** (grid.bits - 1) - 2 ** (quantized.grid.bits - 1) if grid.symmetric else 0
    scales, zeros = quantized.scales, quantized.zeros
    if zeros is None:
        zeros = torch.full(scales.shape, 2 ** (quantized.grid.bits - 1), dtype=torch.uint8, device=scales.device)
    if grid.group_size:
        firsts = torch.arange(0, columns, grid.group_size, device=scales.device)
        source = firsts // quantized.grid.group_size  # the group in which each smaller one lies
        scales, zeros = scales[:, source], zeros[:, source]
    return Carried((quantized.codes + lift).cpu(), scales.cpu(), (zeros + lift).cpu(), grid)
