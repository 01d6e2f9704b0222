"""A small builder of ONNX graphs, and the finished graph with its weights beside it.

Large tensors stay numpy arrays beside the graph: a protobuf holds no more than 2 GB, and would be one more copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from compresslab.messages import Message
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operators
OPSETS = {"": 21, MICROSOFT: 1}
IR_VERSION = 10
INLINE = 1024  # bytes: smaller tensors stand in the graph itself
ALIGNED = 4096  # bytes: so that the file of weights can be mapped
GRAPH_FILE, WEIGHTS_FILE = "model.onnx", "model.onnx.data"


@dataclass(frozen=True)
class Graph:
    """A model whose large tensors are arrays, under the names that the graph calls them by."""

    model: onnx.ModelProto
    weights: dict[str, Array]
    kernel: Message  # of its matrices, in plain words, the most used first
    reason: Message | None = None  # what a reader must know of them
    real: bool = True  # whether the matmul that runs is the one that the format promises

    @property
    def weight_bytes(self) -> int:
        """Of all large tensors, those that are the same memory once."""
        return sum({_address(array): array.nbytes for array in self.weights.values()}.values())

    def save(self, folder: Path) -> None:
        """`model.onnx`, and the weights beside it: plain onnxruntime opens them."""
        folder.mkdir(parents=True, exist_ok=True)
        places = _places(self.weights)
        with (folder / WEIGHTS_FILE).open("wb") as file:
            for name, array in self.weights.items():
                if file.tell() <= places[name]:  # else it was written under another name
                    file.write(bytes(places[name] - file.tell()))
                    array.tofile(file)
        onnx.save_model(self.model, str(folder / GRAPH_FILE))


class Nodes:
    """Collects what a graph consists of. Names are made here, so that no two are the same."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._small: list[onnx.TensorProto] = []
        self._large: dict[str, Array] = {}
        self._known: dict[tuple[tuple[int, int], tuple[int, ...]], str] = {}  # by address and shape
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._made: dict[str, int] = {}

    def input(self, name: str, kind: int, shape: list[Any]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: list[Any]) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, values: Array | float | list[int], name: str) -> str:
        """A tensor that is part of the model, float32 for a number; the same array twice is one tensor."""
        array = np.asarray(values, order="C", dtype=np.float32 if isinstance(values, float) else None)
        known = self._known.get((_address(array), array.shape))
        if known is not None:
            return known
        name = self._free(name)
        if array.nbytes < INLINE:
            self._small.append(numpy_helper.from_array(array, name))
        else:
            self._large[name] = array  # which stays, so that no other array gets its address
            self._known[_address(array), array.shape] = name
        return name

    def op(self, kind: str, inputs: list[str], *, domain: str = "", out: str = "", **attributes: Any) -> str:
        """One node with one output, whose name is returned."""
        return self.ops(kind, inputs, [out or self._free(kind)], domain=domain, **attributes)[0]

    def ops(
        self, kind: str, inputs: list[str], outputs: list[str], *, domain: str = "", **attributes: Any
    ) -> list[str]:
        """One node with outputs of these names; an empty one is left out."""
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs

    def name(self, stem: str) -> str:
        """For an output of a node."""
        return self._free(stem)

    def graph(self, kernel: Message, reason: Message | None, real: bool) -> Graph:
        """What was collected, as a model."""
        places = _places(self._large)
        large = [_elsewhere(name, array, places[name]) for name, array in self._large.items()]
        graph = helper.make_graph(self._nodes, "decoder", self._inputs, self._outputs, [*self._small, *large])
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="compresslab")
        about = {"kernel": str(kernel), "reason": str(reason or ""), "real": str(real)}
        helper.set_model_props(model, about)
        return Graph(model, self._large, kernel, reason, real)

    def _free(self, stem: str) -> str:
        number = self._made.get(stem, 0)
        self._made[stem] = number + 1
        return f"{stem}.{number}" if number else stem


def _address(array: Array) -> tuple[int, int]:
    """Arrays of the same address are the same bytes."""
    return array.__array_interface__["data"][0], array.nbytes


def _places(weights: dict[str, Array]) -> dict[str, int]:
    """The byte of the file at which each tensor begins."""
    first: dict[tuple[int, int], int] = {}
    places, end = {}, 0
    for name, array in weights.items():
        if _address(array) not in first:
            first[_address(array)] = end + -end % ALIGNED
            end = first[_address(array)] + array.nbytes
        places[name] = first[_address(array)]
    return places


def _elsewhere(name: str, array: Array, offset: int) -> onnx.TensorProto:
    """A tensor whose bytes lie in the file of weights."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=array.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", WEIGHTS_FILE), ("offset", offset), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
