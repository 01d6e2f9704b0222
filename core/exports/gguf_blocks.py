"""Codes on a grid as blocks of 32 weights, the way ggml stores them; nothing is rounded again here.

Q4_0, Q5_0 and Q8_0 keep a float16 scale and signed steps of it; a step is code - zero point, so that an asymmetric
grid fits too wherever its steps do, and a group of 64 or 128 is a row of blocks with one scale. Q4_1 keeps a minimum
instead, which as a float16 is not exactly a whole number of steps. Layouts: ggml-common.h, block_q4_0 to block_q8_0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from compresslab.grids.affine import Affine
from compresslab.grids.grid import Grid
from compresslab.models.weights import WeightPlan

if TYPE_CHECKING:
    from compresslab.engine.solvers.rounding import QuantizedWeight

Array = np.ndarray[Any, Any]
BLOCK = 32


@dataclass(frozen=True)
class Kind:
    """A type of block and the steps of a scale that it reaches."""

    name: str
    bytes: int
    lowest: int
    highest: int


STEPPED = (Kind("Q4_0", 18, -8, 7), Kind("Q5_0", 22, -16, 15), Kind("Q8_0", 34, -128, 127))
WITH_MINIMUM = Kind("Q4_1", 20, 0, 15)
FINEST = STEPPED[-1]
KINDS = {kind.name: kind for kind in (*STEPPED, WITH_MINIMUM)}


def holds(weight: WeightPlan) -> Kind | None:
    """The smallest kind of block that holds the weight's grid as it is; None where there is none."""
    grid, columns = weight.affine, weight.shape[-1]
    if grid is None or not divides(grid, columns):
        return None
    lowest, highest = reach(grid)
    return next((kind for kind in STEPPED if kind.lowest <= lowest and highest <= kind.highest), None)


def divides(grid: Grid, columns: int) -> bool:
    """Whether every block lies in one group, and rows end with a block."""
    return columns % BLOCK == 0 and (grid.groups(columns) == 1 or grid.group_size % BLOCK == 0)


def reach(grid: Affine) -> tuple[int, int]:
    """The lowest and the highest step, code - zero point, that a grid may use."""
    return (-grid.middle, grid.top - grid.middle) if grid.symmetric else (-grid.top, grid.top)


def stepped(quantized: QuantizedWeight, kind: Kind) -> Array:
    """uint8 [rows, bytes]: every block its scale, then its steps."""
    scales, zeros = _by_block(quantized)
    steps = _in_blocks(quantized) - zeros[..., None]  # int16 [rows, blocks, 32]
    parts = [_bytes(scales)]
    if kind.name == "Q8_0":
        parts.append(steps.astype(np.int8).view(np.uint8))
    else:
        codes = (steps - kind.lowest).astype(np.uint8)
        if kind.name == "Q5_0":
            parts.append(np.packbits(codes >> 4, axis=2, bitorder="little"))
        parts.append(_nibbles(codes & 15))
    return _rows(parts)


def with_minimum(quantized: QuantizedWeight) -> Array:
    """uint8 [rows, bytes] of Q4_1: scale, minimum, codes as they are. The minimum is rounded to float16."""
    scales, zeros = _by_block(quantized)
    minimum = (-zeros.astype(np.float32) * scales.astype(np.float32)).astype(np.float16)
    return _rows([_bytes(scales), _bytes(minimum), _nibbles(_in_blocks(quantized).astype(np.uint8))])


def _by_block(quantized: QuantizedWeight) -> tuple[Array, Array]:
    """Scale, float16, and zero point, int16, of every block: [rows, blocks]."""
    columns, grid = quantized.codes.shape[1], quantized.grid
    group = np.arange(0, columns, BLOCK) // (grid.group_size or columns)
    scales = quantized.parameters["scales"].cpu().numpy()
    zeros = grid.zero_codes(quantized.parameters).cpu().numpy().astype(np.int16)
    return scales[:, group], zeros[:, group]


def _in_blocks(quantized: QuantizedWeight) -> Array:
    """int16 [rows, blocks, 32]."""
    rows, columns = quantized.codes.shape
    return quantized.codes.cpu().numpy().astype(np.int16).reshape(rows, columns // BLOCK, BLOCK)


def _nibbles(codes: Array) -> Array:
    """Two to a byte: the first half of a block in the low bits, the second in the high ones."""
    half = BLOCK // 2
    return (codes[..., :half] | codes[..., half:] << 4).astype(np.uint8)


def _bytes(values: Array) -> Array:
    """float16 [rows, blocks] -> uint8 [rows, blocks, 2]."""
    return np.ascontiguousarray(values[..., None]).astype("<f2").view(np.uint8)


def _rows(parts: list[Array]) -> Array:
    joined = np.concatenate(parts, axis=2)
    return np.ascontiguousarray(joined.reshape(joined.shape[0], -1))
