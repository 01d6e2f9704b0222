"""A grid carried in another one that holds it exactly: more bits, smaller groups, the same values.

Kernels know few widths, and want groups that divide a row. Three bits fit into four as they are, with scales
untouched; a row of 192 weights in groups of 128 is one of groups of 64 in which some scales repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from compresslab.exports.format import Contents
from compresslab.grids.affine import Affine
from compresslab.messages import Message
from compresslab.models.weights import WeightPlan

if TYPE_CHECKING:
    from compresslab.engine.solvers.rounding import QuantizedWeight
    from torch import Tensor


@dataclass(frozen=True)
class Carried:
    """weight = (code - zero) * scale, with a zero point for every group, also on a symmetric grid."""

    codes: Tensor  # uint8 [rows, columns]
    scales: Tensor  # float16 [rows, groups]
    zeros: Tensor  # uint8 [rows, groups]
    grid: Affine


def nothing_packed(contents: Contents) -> Message | None:
    """The refusal where no matrix would be stored as codes."""
    if any(packs(weight) for weight in contents.layout):
        return None
    others = {w.grid.name for w in contents.quantized if w.grid is not None and w.affine is None}
    return Message("export.not_affine", grid=min(others)) if others else Message("export.not_quantized")


def packs(weight: WeightPlan) -> bool:
    """Whether the matrix is stored as codes: embeddings are looked up in, and no reader unpacks those everywhere."""
    return weight.affine is not None and weight.role in ("linear", "head")


def packed_grid(weight: WeightPlan) -> Affine:
    """Of a weight that is stored as codes."""
    assert weight.affine is not None
    return weight.affine


def carrier(grid: Affine, columns: int, widths: tuple[int, ...]) -> Affine:
    """The grid of the first of these widths that is wide enough, in groups that divide a row."""
    bits = next(width for width in widths if width >= grid.bits)
    single = grid.groups(columns) == 1
    return Affine(bits, 0 if single else gcd(grid.group_size, columns), grid.symmetric)


def carry(quantized: QuantizedWeight, grid: Affine) -> Carried:
    """The weight, whose codes are affine ones, on a carrier of its grid; nothing is rounded."""
    import torch

    columns = quantized.codes.shape[1]
    lift = grid.middle - 2 ** (quantized.grid.bits - 1) if grid.symmetric else 0
    scales, zeros = quantized.parameters["scales"], quantized.grid.zero_codes(quantized.parameters)
    if grid.group_size:
        firsts = torch.arange(0, columns, grid.group_size, device=scales.device)
        source = firsts // quantized.grid.group_size  # the group in which each smaller one lies
        scales, zeros = scales[:, source], zeros[:, source]
    return Carried((quantized.codes + lift).cpu(), scales.cpu(), (zeros + lift).cpu(), grid)
