"""Attention in ONNX: one GroupQueryAttention a block, its KV cache written in place.

The operator rotates pairs in steps of 8 and heads in steps of 16. Where a model has other sizes, the rows of q, k and v
are moved and filled up with zeros: scores and outputs stay the same, and the matrix behind keeps its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import CannotExpress
from compresslab.engine.runtimes.onnx_linear import Linear, Matrix, joined, matrix
from compresslab.engine.runtimes.onnx_nodes import MICROSOFT, Array, Nodes
from compresslab.models.anatomy import QKV, Heads, Part
from compresslab.models.narrowing import widths_now
from onnx import TensorProto
from torch import nn

PAIR_STEP, HEAD_STEP = 8, 16
ROTATIONS = ("default", "linear", "llama3", "yarn")  # whose angles are the same for every length of text


@dataclass(frozen=True)
class Slots:
    """Where the rows of one head lie in a head that the operator takes."""

    size: int
    queries: Array  # int64 [size]: the row of q or k in each slot; -1 for none
    values: Array  # int64 [size], of v


@dataclass(frozen=True)
class Rotation:
    """How many rows of a head are rotated, and the tables that say by how much."""

    rows: int
    tables: list[str]  # constants of cosines and sines: float32 [context, pairs]


def slots_of(dim: int, rotated: int) -> Slots:
    """A head of `dim` rows, the first `rotated` of them in pairs (i, i + rotated / 2)."""
    half, pairs = rotated // 2, _up(rotated // 2, PAIR_STEP)
    size = _up(2 * pairs + dim - rotated, HEAD_STEP) if rotated else dim
    queries, values = np.full(size, -1), np.full(size, -1)
    queries[:half], queries[pairs : pairs + half] = np.arange(half), half + np.arange(half)
    queries[2 * pairs : 2 * pairs + dim - rotated] = rotated + np.arange(dim - rotated)
    values[:dim] = np.arange(dim)
    return Slots(size, queries, values)


class AttentionNodes:
    """Writes the attention of every block of a model; they share lengths and rotation tables."""

    def __init__(self, model: CompressedModel, nodes: Nodes, linear: Linear) -> None:
        self._model, self._nodes, self._linear = model, nodes, linear
        self._anatomy = model.facts.anatomy
        self._heads: Heads = widths_now(model.weights, model.facts).heads
        self._rotary = getattr(model.module.get_submodule(self._anatomy.root), "rotary_emb", None)
        self._rotations: dict[str, Rotation] = {}  # by kind of layer
        self._lengths = [
            nodes.input("last_position", TensorProto.INT32, ["batch"]),
            nodes.input("total_length", TensorProto.INT32, []),
        ]

    @property
    def total_length(self) -> str:
        """The tokens that the cache holds after this step."""
        return self._lengths[1]

    def write(self, layer: int, x: str) -> str:
        """[B, S, H] -> [B, S, heads * dim], before the output matrix."""
        module = self._module(layer)
        rotation = self._rotation(layer) if self._rotates(module) else None
        slots = slots_of(self._heads.dim, rotation.rows if rotation else 0)
        past = [self._cache(part, layer, slots.size) for part in ("key", "value")]
        tables = rotation.tables if rotation else []
        out = self._nodes.name(f"attention.{layer}")
        self._nodes.ops(
            "GroupQueryAttention",
            [*self._qkv(layer, x, slots), *past, *self._lengths, *tables],
            [out, *(name.replace("past", "present") for name in past)],
            domain=MICROSOFT,
            **self._attributes(layer, module, bool(tables)),
        )
        return out if slots.size == self._heads.dim else self._unfilled(out, slots)

    def _attributes(self, layer: int, module: nn.Module, rotates: bool) -> dict[str, Any]:
        sizes = {"num_heads": self._heads.count, "kv_num_heads": self._heads.kv_count}
        found = {"scale": float(getattr(module, "scaling", self._heads.dim**-0.5)), "do_rotary": int(rotates)}
        window, cap = self._window(module), getattr(module, "attn_logit_softcapping", None)
        if window is not None:
            found["local_window_size"] = window
        if cap is not None:
            found["softcap"] = float(cap)
        return sizes | found

    def _window(self, module: nn.Module) -> int | None:
        """How many tokens a token sees, itself among them; None: all before it."""
        config: Any = self._model.module.config
        by_config = None if hasattr(config, "layer_types") else getattr(config, "sliding_window", None)
        window = getattr(module, "sliding_window", by_config)
        return None if window is None or window >= self._model.context_length else int(window)

    def _qkv(self, layer: int, x: str, slots: Slots) -> list[str]:
        """The first three inputs: q, k and v, or all of them in the first."""
        name = self._anatomy.module(layer, "qkv")
        parts = [self._part(part, layer, slots) for part in QKV]
        norms = self._norms(layer)
        together = None if norms else joined(parts)
        if together is not None:
            return [self._linear.multiply(x, together, name), "", ""]
        found = [self._linear.multiply(x, each, f"{name}.{part}") for part, each in zip(QKV, parts, strict=True)]
        for place, norm in enumerate(norms):
            found[place] = self._normed(found[place], norm, slots)
        return found

    def _part(self, part: Part, layer: int, slots: Slots) -> Matrix:
        """Rows of one of q, k and v, head after head, in the slots of the operator."""
        count = self._heads.count if part == "q" else self._heads.kv_count
        wanted = slots.values if part == "v" else slots.queries
        rows, name = [], ""
        for head in range(count):
            name, there = self._anatomy.attention.rows(part, head, self._heads)
            rows.append(np.where(wanted < 0, -1, wanted + there.start))
        return stored_matrix(self._model, self._anatomy.module(layer, name)).rows(np.concatenate(rows))

    def _norms(self, layer: int) -> list[tuple[Array, float]]:
        """Weights [dim] and epsilons of the norms of q and k, where there are any."""
        prefix = self._anatomy.module(layer, self._anatomy.attention.output).rpartition(".")[0]
        names = [name for name in (f"{prefix}.q_norm", f"{prefix}.k_norm") if f"{name}.weight" in self._model.weights]
        plus = 1 if self._anatomy.final_norm and self._anatomy.final_norm.kind == "rms_plus_one" else 0
        modules = [self._model.module.get_submodule(name) for name in names]
        weights = [self._model.weight(f"{name}.weight").cpu().numpy() + plus for name in names]
        return [(weight, epsilon_of(module)) for weight, module in zip(weights, modules, strict=True)]

    def _normed(self, x: str, norm: tuple[Array, float], slots: Slots) -> str:
        """Of every head. Zeros make the mean square smaller by size / dim: weight and epsilon take it back."""
        weight, epsilon = norm
        share = self._heads.dim / slots.size
        filled = np.where(slots.queries < 0, 0, weight[slots.queries]) * np.sqrt(share)
        heads = self._nodes.op("Reshape", [x, self._shape([0, 0, -1, slots.size])])
        inputs = [heads, self._nodes.constant(filled.astype(np.float32), "head_norm")]
        normed = self._nodes.op("SimplifiedLayerNormalization", inputs, axis=-1, epsilon=epsilon * share, stash_type=1)
        return self._nodes.op("Reshape", [normed, self._shape([0, 0, -1])])

    def _unfilled(self, x: str, slots: Slots) -> str:
        """The slots of every head that hold values: [B, S, heads * size] -> [B, S, heads * dim]."""
        heads = self._nodes.op("Reshape", [x, self._shape([0, 0, -1, slots.size])])
        bounds = [self._shape([bound]) for bound in (0, self._heads.dim, -1)]
        return self._nodes.op("Reshape", [self._nodes.op("Slice", [heads, *bounds]), self._shape([0, 0, -1])])

    def _shape(self, values: list[int]) -> str:
        return self._nodes.constant(values, "shape")

    def _cache(self, part: str, layer: int, size: int) -> str:
        shape = ["batch", self._heads.kv_count, "room", size]
        self._nodes.output(f"present.{layer}.{part}", TensorProto.FLOAT, shape)
        return self._nodes.input(f"past.{layer}.{part}", TensorProto.FLOAT, shape)

    # -- rotation -------------------------------------------------------------------------

    def _rotates(self, module: nn.Module) -> bool:
        return self._rotary is not None and bool(getattr(module, "use_rope", True))

    def _rotation(self, layer: int) -> Rotation:
        """The model's own cosines and sines, so that every scaling of positions is right. Raises CannotExpress."""
        config: Any = self._model.module.config
        kinds = getattr(config, "layer_types", None)
        several = any(isinstance(value, dict) for value in config.rope_parameters.values())
        kind = kinds[layer] if several and kinds else ""
        rope = config.rope_parameters[kind] if kind else config.rope_parameters
        if rope.get("rope_type", "default") not in ROTATIONS:
            raise CannotExpress("runtime.scaled_positions", kind=rope["rope_type"])
        if kind not in self._rotations:
            positions = torch.arange(self._model.context_length, device=self._model.device)[None]
            rotary: Any = self._rotary
            tables = rotary(torch.zeros(1, device=self._model.device), positions, *([kind] if kind else []))
            self._rotations[kind] = self._constant(*(table[0].float().cpu().numpy() for table in tables))
        return self._rotations[kind]

    def _constant(self, cosines: Array, sines: Array) -> Rotation:
        """Of tables [context, rows], whose halves are alike. Pairs that only fill up turn by nothing."""
        half = cosines.shape[1] // 2
        missing = ((0, 0), (0, _up(half, PAIR_STEP) - half))
        filled = np.pad(cosines[:, :half], missing, constant_values=1), np.pad(sines[:, :half], missing)
        names = [self._nodes.constant(table, name) for table, name in zip(filled, ("cosines", "sines"), strict=True)]
        return Rotation(2 * half, names)

    def _module(self, layer: int) -> nn.Module:
        output = self._anatomy.module(layer, self._anatomy.attention.output)
        return self._model.module.get_submodule(output.rpartition(".")[0])


def stored_matrix(model: CompressedModel, name: str) -> Matrix:
    """The weight of a module as it is stored, and its bias. Raises CannotExpress for inputs that are rounded."""
    weight = f"{name}.weight"
    if model.weights[weight].activation_bits is not None:
        raise CannotExpress("runtime.rounded_inputs", name=name, bits=model.weights[weight].activation_bits)
    bias = model.weight(f"{name}.bias") if f"{name}.bias" in model.weights else None
    stored = model.stored[weight]
    return matrix(model.weight(weight) if isinstance(stored, torch.Tensor) else stored, bias)


def epsilon_of(norm: nn.Module) -> float:
    found = getattr(norm, "variance_epsilon", None)
    return float(getattr(norm, "eps", 0) if found is None else found)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
