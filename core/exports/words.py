"""Numbers of few bits in a row of 32-bit words, dense and little-endian: what GPTQ and compressed-tensors store.

Element i of a row takes the bits from i * bits on; where the width does not divide 32 it may span two words.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

WORD = 32
ROWS = 1024  # spread at a time: every bit takes a byte while they are


def packed(values: Tensor, bits: int) -> Tensor:
    """uint8 [rows, columns] -> int32 [rows, ceil(columns * bits / 32)]."""
    parts = [_packed_rows(part.numpy(), bits) for part in values.split(ROWS)]
    return torch.from_numpy(np.concatenate(parts))


def unpacked(words: Tensor, bits: int, columns: int) -> Tensor:
    """int32 [rows, words] -> int64 [rows, columns]: every number shifted out of the one or two words it lies in."""
    wide = torch.nn.functional.pad(words.long() & 0xFFFFFFFF, (0, 1))
    start = torch.arange(columns) * bits
    first, offset = start // WORD, start % WORD
    low = wide[:, first] >> offset
    high = torch.where(offset > 0, wide[:, first + 1] << (WORD - offset), 0)
    return (low | high) & (2**bits - 1)


def _packed_rows(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    rows, columns = values.shape
    spread = np.unpackbits(np.ascontiguousarray(values)[..., None], axis=2, bitorder="little", count=bits)
    words = ceil(columns * bits / WORD)
    flat = np.zeros((rows, words * WORD), dtype=np.uint8)
    flat[:, : columns * bits] = spread.reshape(rows, -1)
    return np.packbits(flat, axis=1, bitorder="little").view("<i4")
