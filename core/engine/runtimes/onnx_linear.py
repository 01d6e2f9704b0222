"""Matrices in ONNX: codes go into the low-bit kernel as they are, never rounded again.

MatMulNBits takes codes of 2, 4 or 8 bits in blocks of a power of two with a float32 scale each. Groups of other sizes
become smaller blocks of equal scales; codes of other widths the next wider ones, moved so that they mean the same
weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from compresslab.engine.runtimes import Form
from compresslab.engine.runtimes.onnx_nodes import MICROSOFT, Array, Nodes
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.grids.grid import Grid
from compresslab.messages import Message
from compresslab.models.traffic import kernel_bits, kernel_block
from torch import Tensor

FLOAT_KERNEL = Message("kernel.matmul")
INT8_KERNEL = Message("kernel.dynamic_int8")
INT8_TOP, INT8_MIDDLE = 127, 128
TOO_SMALL = Message("runtime.odd_groups")
ROUNDED_AGAIN = Message("runtime.rounded_int8")


@dataclass(frozen=True)
class Codes:
    """A weight on its grid, as it is stored."""

    codes: Array  # uint8 [N, K]
    parameters: dict[str, Array]  # [N, groups] each
    grid: Grid

    def rows(self, rows: Array) -> Codes:
        """Row i is what row rows[i] was; a row of zeros where that is negative."""
        codes, parameters = self.codes[rows], {name: each[rows] for name, each in self.parameters.items()}
        empty = rows < 0
        if empty.any():
            zeros = self.grid.spread(self.grid.zero_codes(_tensors(parameters)), codes.shape[1])
            codes[empty] = zeros.numpy()[empty]
        return replace(self, codes=codes, parameters=parameters)

    def dequantized(self) -> Array:
        """float32 [N, K]."""
        found: Array = self.grid.value(torch.from_numpy(self.codes), _tensors(self.parameters)).numpy()
        return found

    @property
    def scales(self) -> Array:
        """float32 [N, groups], of affine codes."""
        return self.parameters["scales"].astype(np.float32)

    @property
    def zeros(self) -> Array | None:
        """uint8 [N, groups], of affine codes; None: the middle of the width."""
        return self.parameters.get("zeros")

    @property
    def group(self) -> int:
        """Weights of a row that share a scale."""
        return self.grid.group_size or self.codes.shape[1]

    @property
    def block(self) -> int | None:
        """Of the low-bit kernel; None where it can't multiply these codes."""
        return None if self.grid.affine is None else kernel_block(self.grid.affine, self.codes.shape[1])

    @property
    def one_scale_a_row(self) -> bool:
        """Whether these are symmetric integers, with nothing but a scale for every row."""
        affine = self.grid.affine
        return affine is not None and affine.symmetric and self.group >= self.codes.shape[1]


def _tensors(parameters: dict[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(each) for name, each in parameters.items()}


@dataclass(frozen=True)
class Matrix:
    """A weight [N, K], as codes or as float32, and what is added after it."""

    weight: Codes | Array
    bias: Array | None = None

    def rows(self, rows: Array) -> Matrix:
        """Row i is what row rows[i] was; a row of zeros where that is negative."""
        bias = None if self.bias is None else np.where(rows < 0, 0, self.bias[rows]).astype(np.float32)
        if isinstance(self.weight, Codes):
            return Matrix(self.weight.rows(rows), bias)
        weight = self.weight[rows]
        weight[rows < 0] = 0
        return Matrix(weight, bias)


def matrix(stored: Tensor | QuantizedWeight, bias: Tensor | None = None) -> Matrix:
    after = None if bias is None else bias.float().cpu().numpy()
    if not isinstance(stored, QuantizedWeight):
        return Matrix(stored.float().cpu().numpy(), after)
    parameters = {name: each.cpu().numpy() for name, each in stored.parameters.items()}
    return Matrix(Codes(stored.codes.cpu().numpy(), parameters, stored.grid), after)


def joined(parts: list[Matrix]) -> Matrix | None:
    """One matrix below the other where they can be one, else None: they share a grid, or are all plain."""
    if len({part.bias is None for part in parts}) > 1:
        return None
    biases = [part.bias for part in parts if part.bias is not None]
    bias = np.concatenate(biases) if biases else None
    codes = [part.weight for part in parts if isinstance(part.weight, Codes)]
    if not codes:
        return Matrix(np.concatenate([part.weight for part in parts]), bias)
    if len(codes) < len(parts) or len({c.grid for c in codes}) > 1:
        return None
    below = replace(
        codes[0],
        codes=np.concatenate([c.codes for c in codes]),
        parameters={name: np.concatenate([c.parameters[name] for c in codes]) for name in codes[0].parameters},
    )
    return Matrix(below, bias)


class Linear:
    """Writes matrices into a graph and remembers which kernels they run in."""

    def __init__(self, nodes: Nodes, form: Form, accuracy_level: int) -> None:
        self._nodes, self._form, self._level = nodes, form, accuracy_level
        self._table: tuple[Codes, Blocks] | None = None  # what was looked up in: a tied lm_head has it too
        self._levels: dict[str, tuple[str, str]] = {}  # by what was levelled: several matrices read the same
        self.kernels: Counter[Message] = Counter()  # how many weights run in which
        self.notes: dict[Message, None] = {}  # in the order in which they came up
        self.dense = False  # whether codes were dequantized

    def multiply(self, x: str, matrix: Matrix, name: str) -> str:
        """x [B, S, K] -> [B, S, N]."""
        weight = matrix.weight
        if not isinstance(weight, Codes):
            return self._float(x, weight, matrix.bias, name)
        if self._form == "dynamic_int8":
            return self._int8(x, weight, matrix.bias, name)
        if self._form == "bits" and weight.block is not None:
            return self._low_bit(x, weight, weight.block, matrix.bias, name)
        return self._float(x, self._dequantized(weight), matrix.bias, name)

    def look_up(self, ids: str, table: Matrix, name: str) -> str:
        """Rows of a table [V, K]: [B, S] -> [B, S, K]."""
        weight = table.weight
        if not isinstance(weight, Codes):
            return self._nodes.op("Gather", [self._nodes.constant(weight, name), ids])
        bits, block, columns = kernel_bits(weight.grid.bits), weight.block, weight.codes.shape[1]
        if self._form == "float32" or block is None or columns * bits % 8:
            return self._nodes.op("Gather", [self._nodes.constant(weight.dequantized(), name), ids])
        blocks = self._packed(weight, block, bits)
        self._table = weight, blocks
        codes = blocks.codes.reshape(len(weight.codes), -1)[:, : columns * bits // 8]
        parts = [
            self._nodes.constant(codes, f"{name}.rows"),
            ids,
            self._nodes.constant(blocks.scales, f"{name}.scales"),
        ]
        if blocks.zeros is not None:
            parts.append(self._nodes.constant(blocks.zeros, f"{name}.zeros"))
        shape: dict[str, Any] = {"bits": bits, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
        return self._nodes.op("GatherBlockQuantized", parts, domain=MICROSOFT, **shape)

    def _low_bit(self, x: str, weight: Codes, block: int, bias: Array | None, name: str) -> str:
        bits, (rows, columns) = kernel_bits(weight.grid.bits), weight.codes.shape
        activations = "int8" if self._level == 4 else "float32"
        size = weight.grid.group_size
        group = Message("kernel.group", size=size) if size else Message("kernel.per_row")
        self.kernels[Message("kernel.nbits", bits=bits, group=group, activations=activations)] += weight.codes.size
        if bits != weight.grid.bits:
            self.notes[Message("runtime.padded_bits", bits=weight.grid.bits, kernel=bits)] = None
        blocks = self._packed(weight, block, bits)
        inputs = {"codes": blocks.codes, "scales": blocks.scales, "zeros": blocks.zeros, "order": None, "bias": bias}
        names = ["" if a is None else self._nodes.constant(a, f"{name}.{part}") for part, a in inputs.items()]
        sizes = {"K": columns, "N": rows, "bits": bits, "block_size": block}
        return self._nodes.op(
            "MatMulNBits", [x, *_without_end(names)], domain=MICROSOFT, accuracy_level=self._level, **sizes
        )

    def _float(self, x: str, weight: Array, bias: Array | None, name: str) -> str:
        """The weight as it lies in memory, [N, K]: turned, it would be a copy."""
        self.kernels[FLOAT_KERNEL] += weight.size
        out = self._nodes.op("FusedMatMul", [x, self._nodes.constant(weight, name)], domain=MICROSOFT, transB=1)
        return out if bias is None else self._nodes.op("Add", [out, self._nodes.constant(bias, f"{name}.bias")])

    def _int8(self, x: str, weight: Codes, bias: Array | None, name: str) -> str:
        """Weights on one int8 grid a row: quickest for many tokens.

        They are given as uint8 around a zero point of 128: with signed weights the kernel for processors without VNNI
        adds pairs of products in 16 bits, which overflow (onnxruntime 1.31 on AVX2: a tenth to a sixth of the result).
        """
        self.kernels[INT8_KERNEL] += weight.codes.size
        codes, scales, exact = int8_rows(weight)
        if not exact:
            self.notes[ROUNDED_AGAIN] = None
        level, size = self._levelled(x)
        arrays = {"int8": unsigned(codes.T), "int8.scales": scales, "int8.zero": np.array(INT8_MIDDLE, np.uint8)}
        constants = [self._nodes.constant(array, f"{name}.{part}") for part, array in arrays.items()]
        out = self._nodes.op("DynamicQuantizeMatMul", [level, *constants], domain=MICROSOFT)
        out = self._nodes.op("Mul", [out, size])
        return out if bias is None else self._nodes.op("Add", [out, self._nodes.constant(bias, f"{name}.bias")])

    def _levelled(self, x: str) -> tuple[str, str]:
        """Every token divided by its largest value, and those values [B, S, 1].

        The operator rounds all tokens on one grid. So it becomes a grid for each: a single token with outlying values,
        as the first one of a text is in large models, must not blur the others.
        """
        if x not in self._levels:
            nodes = self._nodes
            largest = nodes.op("ReduceMax", [nodes.op("Abs", [x]), nodes.constant([-1], "last_axis")])
            size = nodes.op("Max", [largest, nodes.constant(float(np.finfo(np.float32).tiny), "tiny")])
            self._levels[x] = nodes.op("Div", [x, size]), size
        return self._levels[x]

    def _dequantized(self, weight: Codes) -> Array:
        if self._form != "float32":
            unknown = Message("runtime.no_kernel", grid=weight.grid.name)
            self.notes[TOO_SMALL if weight.grid.affine else unknown] = None
        self.dense = True
        return weight.dequantized()

    def _packed(self, weight: Codes, block: int, bits: int) -> Blocks:
        if self._table is not None and self._table[0] is weight:
            return self._table[1]
        return blocks_of(weight, block, bits)


@dataclass(frozen=True)
class Blocks:
    """As MatMulNBits reads them."""

    codes: Array  # uint8 [N, blocks, bytes of a block]
    scales: Array  # float32 [N, blocks]
    zeros: Array | None  # uint8 [N, bytes of a row]


def blocks_of(weight: Codes, block: int, bits: int) -> Blocks:
    """Codes and zero points packed, low bits first; the last block of a row filled up."""
    rows, columns = weight.codes.shape
    count = -(-columns // block)
    moved = 0 if weight.zeros is not None else 2 ** (bits - 1) - 2 ** (weight.grid.bits - 1)
    codes = np.pad(weight.codes + np.uint8(moved), ((0, 0), (0, count * block - columns)))
    of_group = np.arange(count) * block // weight.group
    zeros = None if weight.zeros is None else packed(weight.zeros[:, of_group], bits)
    scales = np.ascontiguousarray(weight.scales[:, of_group])  # a copy later on would be a second one for a tied table
    return Blocks(packed(codes, bits).reshape(rows, count, -1), scales, zeros)


def packed(values: Array, bits: int) -> Array:
    """uint8 [rows, n] -> [rows, bytes]: several in a byte, the first in its lowest bits."""
    each = 8 // bits
    filled = np.pad(values, ((0, 0), (0, -values.shape[1] % each)))
    found: Array = filled[:, ::each].copy()
    for place in range(1, each):
        found |= filled[:, place::each] << np.uint8(bits * place)
    return found


def int8_rows(weight: Codes) -> tuple[Array, Array, bool]:
    """int8 [N, K] and float32 scales [N]; and whether they are the very same weights, not rounded once more."""
    if weight.one_scale_a_row:
        return (weight.codes.astype(np.int16) - 2 ** (weight.grid.bits - 1)).astype(np.int8), weight.scales[:, 0], True
    values = weight.dequantized()
    scales = np.maximum(np.abs(values).max(1), np.finfo(np.float32).tiny) / INT8_TOP
    return np.rint(values / scales[:, None]).astype(np.int8), scales, False


def unsigned(codes: Array) -> Array:
    """int8 as uint8 around 128."""
    return codes.view(np.uint8) ^ np.uint8(INT8_MIDDLE)


def _without_end(names: list[str]) -> list[str]:
    """Inputs that are left out at the end need no name."""
    while names and not names[-1]:
        names = names[:-1]
    return names
