"""Decoders in ONNX, block by block, as the anatomy of their family says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import CannotExpress
from compresslab.engine.runtimes.onnx_attention import AttentionNodes, epsilon_of, stored_matrix
from compresslab.engine.runtimes.onnx_linear import Linear, Matrix, joined
from compresslab.engine.runtimes.onnx_nodes import MICROSOFT, Array, Nodes
from compresslab.models.anatomy import Norm
from compresslab.models.families import FAMILIES
from compresslab.models.family import Graph, Positions
from onnx import TensorProto

ACTIVATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {  # operator, domain, attributes
    "silu": ("QuickGelu", MICROSOFT, {"alpha": 1.0}),
    "quick_gelu": ("QuickGelu", MICROSOFT, {"alpha": 1.702}),
    "gelu": ("Gelu", "", {}),
    "gelu_new": ("Gelu", "", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", "", {"approximate": "tanh"}),
    "relu": ("Relu", "", {}),
}


@dataclass(frozen=True)
class Stream:
    """The residual stream, and what is still to be added to it: norms add and normalise in one step."""

    value: str
    pending: str = ""


def check(model: CompressedModel) -> Graph:
    """What the graph of its family needs. Raises CannotExpress for what no graph is written for."""
    anatomy, family = model.facts.anatomy, model.facts.family
    graph = FAMILIES[family].graph
    if graph is None:
        raise CannotExpress("runtime.no_family", family=family)
    if anatomy.attention.norm is None or anatomy.mlp.norm is None:
        raise CannotExpress("runtime.post_norm", family=family)
    if f"{anatomy.embedding.rpartition('.')[0]}.project_in.weight" in model.weights:
        raise CannotExpress("runtime.narrow_embedding")
    for switch, said in graph.lacks.items():
        if getattr(model.module.config, switch, False):
            raise CannotExpress(said)
    if model.facts.activation not in ACTIVATIONS:
        raise CannotExpress("runtime.activation", activation=model.facts.activation)
    return graph


class Decoder:
    """Writes a whole model: token ids and a cache in, logits at chosen positions out."""

    def __init__(self, model: CompressedModel, nodes: Nodes, linear: Linear) -> None:
        self._row = check(model)
        self._model, self._nodes, self._linear = model, nodes, linear
        self._anatomy = model.facts.anatomy
        self._ids = nodes.input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        self._positions = nodes.input("positions", TensorProto.INT64, ["chosen"])
        self._attention = AttentionNodes(model, nodes, linear)

    def write(self) -> None:
        """`logits` [batch, chosen, vocabulary]: `positions` are those in `input_ids` whose logits are asked for."""
        nodes, anatomy = self._nodes, self._anatomy
        table = stored_matrix(self._model, anatomy.embedding)
        stream = Stream(self._embedded(table))
        for layer in range(self._model.depth):
            stream = self._block(layer, stream)
        hidden, _ = self._normed(stream, anatomy.final_norm)
        chosen = nodes.op("Gather", [hidden, self._positions], axis=1)
        head = anatomy.head if f"{anatomy.head}.weight" in self._model.weights else ""
        logits = self._linear.multiply(chosen, stored_matrix(self._model, head) if head else table, anatomy.head)
        nodes.op("Identity", [self._capped(logits)], out="logits")
        nodes.output("logits", TensorProto.FLOAT, ["batch", "chosen", self._model.facts.vocab_size])

    def _embedded(self, table: Matrix) -> str:
        nodes = self._nodes
        x = self._linear.look_up(self._ids, Matrix(table.weight), self._anatomy.embedding)
        scale = getattr(self._model.module.get_submodule(self._anatomy.embedding), "embed_scale", None)
        if scale is not None:
            x = nodes.op("Mul", [x, nodes.constant(float(scale), "embed_scale")])
        positions = self._row.positions
        return x if positions is None else nodes.op("Add", [x, self._learned(positions)])

    def _learned(self, positions: Positions) -> str:
        """[S, H]: of the last S of all tokens."""
        nodes = self._nodes
        total = nodes.op("Cast", [self._attention.total_length], to=TensorProto.INT64)
        first = nodes.constant([0], "first_axis")
        end = nodes.op("Add", [nodes.op("Unsqueeze", [total, first]), nodes.constant([positions.offset], "offset")])
        begin = nodes.op("Sub", [end, nodes.op("Shape", [self._ids], start=1)])
        table = self._model.weight(f"{positions.table}.weight").cpu().numpy()
        return nodes.op("Slice", [nodes.constant(table, positions.table), begin, end, first])

    def _block(self, layer: int, stream: Stream) -> Stream:
        anatomy = self._anatomy
        x, stream = self._normed(stream, anatomy.attention.norm, layer)
        attended = self._matmul(layer, anatomy.attention.output, self._attention.write(layer, x))
        attended = self._after(attended, anatomy.attention.after, layer)
        if not anatomy.parallel:
            x, stream = self._normed(Stream(stream.value, attended), anatomy.mlp.norm, layer)
            return Stream(stream.value, self._after(self._mlp(layer, x), anatomy.mlp.after, layer))
        if not anatomy.shares_norm:
            x, stream = self._normed(stream, anatomy.mlp.norm, layer)
        return Stream(stream.value, self._nodes.op("Add", [attended, self._mlp(layer, x)]))

    def _mlp(self, layer: int, x: str) -> str:
        mlp = self._anatomy.mlp
        if mlp.gate is None:
            up = self._linear.multiply(x, self._rows(layer, mlp.up, "up"), self._anatomy.module(layer, mlp.up))
            return self._matmul(layer, mlp.output, self._activated(up))
        gate, up = self._gate_and_up(layer, mlp.gate, x)
        return self._matmul(layer, mlp.output, self._nodes.op("Mul", [self._activated(gate), up]))

    def _gate_and_up(self, layer: int, gate: str, x: str) -> list[str]:
        """Multiplied as one matrix where they can be one: x is rounded, and the threads are woken, once for both."""
        parts = [self._rows(layer, gate, "gate"), self._rows(layer, self._anatomy.mlp.up, "up")]
        names = [self._anatomy.module(layer, name) for name in (gate, self._anatomy.mlp.up)]
        together = joined(parts)
        if together is None:
            return [self._linear.multiply(x, part, name) for part, name in zip(parts, names, strict=True)]
        halves = [self._nodes.name(name) for name in names]
        self._nodes.ops("Split", [self._linear.multiply(x, together, names[0])], halves, axis=-1, num_outputs=2)
        return halves

    def _rows(self, layer: int, name: str, part: Literal["gate", "up"]) -> Matrix:
        """A part of the MLP, which may be some rows of a matrix only."""
        full = self._anatomy.module(layer, name)
        found, rows = stored_matrix(self._model, full), self._anatomy.mlp.rows(part, self._width(layer))[1]
        if len(rows) == self._model.weights[f"{full}.weight"].shape[0]:
            return found
        return found.rows(np.arange(rows.start, rows.stop))

    def _width(self, layer: int) -> int:
        return self._model.weights[self._anatomy.weight(layer, self._anatomy.mlp.output)].shape[1]

    def _matmul(self, layer: int, name: str, x: str) -> str:
        full = self._anatomy.module(layer, name)
        return self._linear.multiply(x, stored_matrix(self._model, full), full)

    def _activated(self, x: str) -> str:
        kind, domain, attributes = ACTIVATIONS[self._model.facts.activation]
        return self._nodes.op(kind, [x], domain=domain, **attributes)

    def _after(self, x: str, norm: Norm | None, layer: int) -> str:
        """Normalised before it is added to the residual stream, where a family does that."""
        return x if norm is None else self._normed(Stream(x), norm, layer)[0]

    def _normed(self, stream: Stream, norm: Norm | None, layer: int | None = None) -> tuple[str, Stream]:
        """Of the stream with what was pending, and that stream."""
        nodes = self._nodes
        if norm is None:  # only after the last block
            return nodes.op("Add", [stream.value, stream.pending]), stream
        name = norm.name if layer is None else self._anatomy.module(layer, norm.name)
        kind = "LayerNormalization" if norm.kind == "layer" else "SimplifiedLayerNormalization"
        parameters = self._norm_parameters(name, norm)
        epsilon = epsilon_of(self._model.module.get_submodule(name))
        if not stream.pending:
            inputs = [stream.value, *parameters]
            return nodes.op(kind, inputs, axis=-1, epsilon=epsilon, stash_type=1), stream
        inputs, out, added = [stream.value, stream.pending, *parameters], nodes.name("normed"), nodes.name("residual")
        nodes.ops(f"Skip{kind}", inputs, [out, "", "", added], domain=MICROSOFT, epsilon=epsilon)
        return out, Stream(added)

    def _norm_parameters(self, name: str, norm: Norm) -> list[str]:
        weight: Array = self._norm_weight(name)
        values = {"weight": weight + 1 if norm.kind == "rms_plus_one" else weight}
        if f"{name}.bias" in self._model.weights:
            values["bias"] = self._model.weight(f"{name}.bias").cpu().numpy()
        return [self._nodes.constant(value.astype(np.float32), f"{name}.{part}") for part, value in values.items()]

    def _norm_weight(self, name: str) -> Array:
        """[hidden]; of ones where a norm has no weight of its own, as some of OPT's."""
        if f"{name}.weight" in self._model.weights:
            found: Array = self._model.weight(f"{name}.weight").cpu().numpy()
            return found
        return np.ones(self._model.facts.hidden_size)

    def _capped(self, logits: str) -> str:
        cap = getattr(self._model.module.config, "final_logit_softcapping", None)
        if cap is None:
            return logits
        limit = self._nodes.constant(float(cap), "cap")
        return self._nodes.op("Mul", [self._nodes.op("Tanh", [self._nodes.op("Div", [logits, limit])]), limit])
