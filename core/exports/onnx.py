"""The graph that the low-bit runtime runs, with its weights, the tokenizer and a script that needs no torch.

Codes, scales and zero points go into it as they are; 3 bits in the 4-bit kernel, 5 to 7 in that of 8. All that is not
quantized is float32, for that is what the kernels compute in on a CPU.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.exports.format import Contents, Format, Reopened, written_dense
from compresslab.grids.affine import Affine
from compresslab.messages import Message, plain
from compresslab.models.families import FAMILIES
from compresslab.models.traffic import kernel_bits
from compresslab.models.weights import WeightPlan
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from torch import Tensor

SCRIPT = "run.py"
FLOAT = 4  # bytes
BLOCKS = (16, 32, 64, 128)  # of the kernel: so many weights share a scale
PADDING = 2048  # bytes before a tensor, on average
LEVELS: dict[str, Literal[1, 4]] = {"float32": 1, "int8": 4}
EXACT, ROUGH = 1e-4, 0.05  # differences of logits, by how activations are multiplied


class Onnx(Format):
    """One graph for onnxruntime on a CPU."""

    name: ClassVar[str] = "onnx"
    place: ClassVar[int] = 10
    label: ClassVar[str] = "ONNX graph"
    plain: ClassVar[str] = (
        "Fast on an ordinary computer, with a small script that writes text: it needs neither torch nor compresslab."
    )
    help: ClassVar[str] = (
        "MatMulNBits and GroupQueryAttention of onnxruntime, written from the codes without rounding again; the KV "
        "cache is updated in place."
    )
    opened_by: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    weight_files: ClassVar[tuple[str, ...]] = ("*.onnx", "*.onnx.data")
    opens_hub_names: ClassVar[bool] = False

    activations: Literal["int8", "float32"] = setting(
        "int8",
        label="Activations",
        plain="int8 rounds what flows into every multiplication and is fast; float32 leaves it unchanged and takes "
        "longer.",
        help="accuracy_level of MatMulNBits: 4 multiplies int8 activations, 1 float32.",
    )

    def refuses(self, contents: Contents) -> Message | None:
        family, anatomy = contents.facts.family, contents.facts.anatomy
        if FAMILIES[family].graph is None:
            return Message("onnx.no_family", family=family)
        if anatomy.attention.norm is None or anatomy.mlp.norm is None:
            return Message("onnx.post_norm", family=family)
        if any(weight.name.endswith("project_in.weight") for weight in contents.layout):
            return Message("onnx.narrow_embedding")
        return None

    def dequantizes(self, contents: Contents) -> Message | None:
        return written_dense(contents.quantized)

    def tolerance(self, contents: Contents) -> float:
        return ROUGH if self.activations == "int8" and contents.quantized else EXACT

    def estimated_bytes(self, contents: Contents) -> int:
        large = [weight for weight in contents.layout if weight.count * FLOAT > 1024]
        return sum(_bytes(weight) for weight in contents.layout) + PADDING * len(large) + _rotation_bytes(contents)

    def write(self, model: CompressedModel, folder: Path) -> None:
        from compresslab.engine.runtimes import CannotExpress
        from compresslab.engine.runtimes.onnx_graph import graph_of

        folder.mkdir(parents=True, exist_ok=True)
        plain = {name: replace(weight, activation_bits=None) for name, weight in model.weights.items()}
        try:
            graph = graph_of(replace(model, weights=plain), accuracy_level=LEVELS[self.activations])
        except CannotExpress as reason:
            raise BadInput("onnx.no_graph", reason=reason.message) from None
        graph.save(folder)
        model.module.config.save_pretrained(folder)
        model.facts.generation.write(folder)
        model.tokenizer.save_pretrained(folder)
        if not (folder / "tokenizer.json").exists():
            raise BadInput("onnx.no_tokenizer")
        shutil.copyfile(Path(__file__).with_name("run_onnx.py"), folder / SCRIPT)

    def reopen(self, folder: Path) -> Reopened:
        """With the code of the script that lies beside the graph."""
        import onnxruntime
        import torch
        from compresslab.exports.run_onnx import Model, tokenizer_of

        model, tokenizer = Model(folder), tokenizer_of(folder)

        def cut(text: str) -> list[int]:
            return list(tokenizer.encode(text).ids)

        def logits(ids: Tensor) -> Tensor:
            model.start(*ids.shape)
            found: Tensor = torch.from_numpy(model.feed(ids.numpy(), range(ids.shape[1])))
            return found

        return Reopened(logits, by=plain(f"onnxruntime {onnxruntime.__version__}"), cut=cut)

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        return {"onnxruntime": f'pip install onnxruntime tokenizers\npython {place}/{SCRIPT} "Once upon a time"'}


def _bytes(weight: WeightPlan) -> int:
    sizes = [] if weight.affine is None else _by_block(weight.affine, *weight.shape)
    return min(sizes, default=weight.count * FLOAT)


def _by_block(grid: Affine, rows: int, columns: int) -> list[int]:
    """Bytes in each of the kernel's blocks that the groups are a whole number of; one scale a row fits all."""
    bits = kernel_bits(grid.bits)
    counts = {block: ceil(columns / block) for block in BLOCKS if grid.group_size % block == 0}
    zeros = {block: 0 if grid.symmetric else ceil(count * bits / 8) for block, count in counts.items()}
    return [rows * (count * (block * bits // 8 + FLOAT) + zeros[block]) for block, count in counts.items()]


def _rotation_bytes(contents: Contents) -> int:
    """Cosines and sines of every position."""
    return contents.facts.context_length * contents.facts.heads.dim * FLOAT
