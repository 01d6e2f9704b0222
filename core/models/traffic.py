"""Bytes that a model must read to write one token, and the sums it must do to read a prompt: what limits its speed."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from compresslab.grids.affine import Affine
from compresslab.models.anatomy import Heads
from compresslab.models.weights import WeightPlan

FLOAT = 4  # bytes
BLOCKS = (128, 64, 32, 16)  # of 256, int8 activations are twice as coarse, and 2 bits have no kernel


def kernel_bits(bits: int) -> int:
    """The width that a low-bit kernel really works in: 3 bits run in that of 4, 5 to 7 in that of 8."""
    return 2 if bits == 2 else 4 if bits <= 4 else 8


def kernel_block(grid: Affine, columns: int) -> int | None:
    """Weights of a row that share a scale in the kernel: of the sizes that a group is a whole number of, the one that
    takes least memory. None where there is none: such a weight is multiplied as float32.
    """
    fits = [block for block in BLOCKS if grid.group_size % block == 0]  # one scale a row fits all
    return min(fits, key=lambda block: _blocks_bytes(grid, columns, block), default=None)


def row_bytes(grid: Affine, columns: int) -> int:
    """Of one row of a matrix as the kernel reads it: whole blocks of codes, their scales and zero points."""
    block = kernel_block(grid, columns)
    return FLOAT * columns if block is None else _blocks_bytes(grid, columns, block)


def read_per_token(weights: Iterable[WeightPlan], *, low_bit: bool) -> int:
    """Bytes of all matrices that every token goes through; of the embedding only where it is lm_head as well.

    In a `low_bit` runtime codes are read as codes, with their scales and zero points; else all is float32.
    """
    weights = list(weights)
    head = "head" if any(weight.role == "head" for weight in weights) else "embedding"
    return sum(_bytes(weight, low_bit) for weight in weights if weight.role in ("linear", head))


def cache_per_token(heads: Heads, layers: int, tokens: float) -> int:
    """Bytes of the keys and values of so many tokens, all of which the next one looks at; float32."""
    return round(2 * layers * heads.kv_count * heads.dim * FLOAT * tokens)


def _bytes(weight: WeightPlan, low_bit: bool) -> int:
    """Matrices on a grid that the kernel does not know are multiplied as float32."""
    if weight.affine is None or not low_bit:
        return FLOAT * weight.count
    rows, columns = weight.shape
    return rows * row_bytes(weight.affine, columns)


def _blocks_bytes(grid: Affine, columns: int, block: int) -> int:
    count, bits = ceil(columns / block), kernel_bits(grid.bits)
    zero_points = 0 if grid.symmetric else ceil(count * bits / 8)
    return count * (block * bits // 8 + FLOAT) + zero_points
