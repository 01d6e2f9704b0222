"""The ONNX graph of a compressed model, written straight from its codes, scales and zero points."""

from __future__ import annotations

from typing import Literal

from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Form
from compresslab.engine.runtimes.onnx_families import Decoder
from compresslab.engine.runtimes.onnx_linear import ROUNDED_AGAIN, Linear
from compresslab.engine.runtimes.onnx_nodes import Graph, Nodes
from compresslab.messages import Message, remarks

AccuracyLevel = Literal[1, 4]  # MatMulNBits multiplies float32 activations exactly, or int8 ones fast
SIMULATED_ZEROS = Message("runtime.zeros", device="CPU")


def graph_of(model: CompressedModel, *, accuracy_level: AccuracyLevel = 4, form: Form = "bits") -> Graph:
    """Inputs: `input_ids` [B, S]; `positions`, those of the S whose logits are asked for; `last_position` [B] and
    `total_length`, of all tokens up to and with these; `past.LAYER.key|value` [B, kv heads, room, head size].
    Outputs: `logits` [B, positions, V]; `present.*`, to be bound to the very memory of `past.*`.

    Raises CannotExpress for a family or a recipe that no graph is written for.
    """
    nodes = Nodes()
    linear = Linear(nodes, form, accuracy_level)
    Decoder(model, nodes, linear).write()
    notes = list(linear.notes)
    if model.masks:
        notes.append(SIMULATED_ZEROS)
    if linear.dense and form == "float32":
        notes.append(Message("runtime.dequantized"))
    simulated = bool(model.masks) or linear.dense or ROUNDED_AGAIN in linear.notes
    kernel = Message("kernel.several", kernels=[name for name, _ in linear.kernels.most_common()])
    return nodes.graph(kernel, remarks(*notes), not simulated)
