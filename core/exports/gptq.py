"""The layout of AutoGPTQ and GPTQModel: whatever a quantizer of ours found, stored as GPTQ's files are.

For a matrix W [rows, columns], which is applied as x W^T:
- `qweight`  int32 [words, rows]: codes packed down the columns of W^T, dense;
- `qzeros`   int32 [groups, words]: zero points packed along rows; less one in version 1 (`gptq`), as they are in
  version 2 (`gptq_v2`), which is taken where a grid is asymmetric: one less than 0 would run into its neighbour, and
  GPTQModel refuses such files of other makers;
- `scales`   float16 [groups, rows];
- `g_idx`    int32 [columns]: the group of each column. Groups stay in place with us, also in act-order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.exports.carried import Carried, carrier, nothing_packed, packed_grid, packs
from compresslab.exports.dense import ENTRY_BYTES
from compresslab.exports.format import Contents, Format, Reopened, written_dense
from compresslab.exports.vllm import parted, runs, wholes
from compresslab.grids.affine import Affine
from compresslab.messages import Message, plain
from compresslab.models.packed_layout import BITS
from compresslab.models.weights import WeightPlan

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from torch import Tensor

GROUPS = (16, 32, 64, 128, 256, 512, 1024)
OLD, NEW = "gptq", "gptq_v2"
WORD = 32
HALF = 5e-3  # of logits: what computing in float16 moves them by


class Gptq(Format):
    """Packed codes, zero points and scales, with quantize_config.json."""

    name: ClassVar[str] = "gptq"
    place: ClassVar[int] = 40
    label: ClassVar[str] = "GPTQ checkpoint"
    plain: ClassVar[str] = "The best known low-bit format: many programs and servers open it."
    help: ClassVar[str] = (
        "The layout of AutoGPTQ and GPTQModel in 2, 3, 4 and 8 bits (5 to 7 are stored in 8, value for value), "
        "symmetric or not. Matrices with other settings are listed as exceptions under dynamic. Embeddings are "
        "stored dense."
    )
    opened_by: ClassVar[tuple[str, ...]] = ("GPTQModel", "vLLM", "transformers")
    untried: ClassVar[tuple[str, ...]] = ("vLLM", "transformers")
    weight_files: ClassVar[tuple[str, ...]] = ("*.safetensors",)

    def refuses(self, contents: Contents) -> Message | None:
        empty = nothing_packed(contents)
        if empty:
            return empty
        odd = sorted({_carrier(weight).group_size for weight in contents.layout if packs(weight)} - {0, *GROUPS})
        if odd:
            return Message("gptq.group", groups=GROUPS, size=odd[0])
        return None

    def dequantizes(self, contents: Contents) -> Message | None:
        return written_dense(contents.quantized)

    def shut_out(self, contents: Contents) -> dict[str, Message]:
        """vLLM's limits (AutoGPTQConfig, Marlin's groups), and what transformers 5.23 and GPTQModel 7.7 fail on."""
        layout, family = contents.layout, contents.facts.family
        suits = all(grid.symmetric and runs(grid, columns) for grid, columns in _packed_grids(layout))
        reasons = {
            "GPTQModel": Message("gptq.gptqmodel_phi3") if family == "phi3" else None,
            "vLLM": parted(grids_of(layout)) if suits else Message("gptq.vllm"),
            "transformers": _unknown_to_transformers(contents),
        }
        return {program: reason for program, reason in reasons.items() if reason}

    def rounded(self, model: CompressedModel) -> dict[str, Tensor]:
        from compresslab.exports.checkpoint_folder import in_dtypes

        return in_dtypes(model, {weight.name: weight.dtype for weight in model.layout() if not packs(weight)})

    def estimated_bytes(self, contents: Contents) -> int:
        return sum(_bytes(weight) for weight in contents.layout)

    def write(self, model: CompressedModel, folder: Path) -> None:
        from compresslab.exports.carried import carry
        from compresslab.exports.checkpoint_folder import dense_tensors, write_checkpoint

        layout = model.layout()
        tensors = dense_tensors(model, (weight.name for weight in layout if not packs(weight)))
        config = quantization_config(layout)
        less = int(config["checkpoint_format"] == OLD)
        for weight in layout:
            if packs(weight):
                quantized: Any = model.stored[weight.name]
                parts = _tensors(carry(quantized, _carrier(weight)), less)
                module = weight.name.removesuffix(".weight")
                tensors |= {f"{module}.{part}": tensor for part, tensor in parts.items()}
        write_checkpoint(model, folder, tensors, config)
        text = json.dumps(config, indent=2) + "\n"
        (folder / "quantize_config.json").write_text(text, encoding="utf-8")

    def reopen(self, folder: Path) -> Reopened:
        """The words are taken apart here."""
        from compresslab.exports import checkpoint_folder
        from compresslab.exports.read_gptq import dequantized

        config = checkpoint_folder.plain_config(folder)
        return Reopened(
            checkpoint_folder.logits_of_values(config, dequantized(folder)),
            missing=plain("GPTQModel"),
            instead=Message("opened.own_reader"),
            cut=checkpoint_folder.cut_by_transformers(folder),
        )

    def reopen_elsewhere(self, folder: Path) -> Reopened | None:
        """By GPTQModel, which computes in float16."""
        if not find_spec("gptqmodel"):
            return None
        import torch
        from compresslab.exports.checkpoint_folder import logits_of_module
        from gptqmodel import BACKEND, GPTQModel

        loaded = GPTQModel.load(str(folder), backend=BACKEND.GPTQ_TORCH, device="cpu", dtype=torch.float16)
        by = plain(f"GPTQModel {version('gptqmodel')}")
        return Reopened(logits_of_module(loaded.model.eval()), by=by, arithmetic=HALF)

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        return {
            "GPTQModel": f'from gptqmodel import GPTQModel\n\nmodel = GPTQModel.load("{place}")',
            "vLLM": f"vllm serve {place}",
            "transformers": "# pip install gptqmodel optimum\nfrom transformers import AutoModelForCausalLM\n\n"
            f'model = AutoModelForCausalLM.from_pretrained("{place}")',
        }


def quantization_config(layout: list[WeightPlan]) -> dict[str, Any]:
    """What config.json says of it: the commonest grid for all, the others by name, `-:` for what is dense."""
    grids = grids_of(layout)
    packed = [grid for grid in grids.values() if grid is not None]
    common = Counter(packed).most_common(1)[0][0]
    dynamic: dict[str, dict[str, Any]] = {}
    for module, grid in (grids | wholes(grids)).items():
        if grid is None:
            dynamic[f"-:^{re.escape(module)}$"] = {}
        elif grid != common:
            dynamic[f"+:^{re.escape(module)}$"] = _in_words(grid)
    return {
        **_in_words(common),
        "quant_method": "gptq",
        "checkpoint_format": OLD if all(grid.symmetric for grid in packed) else NEW,
        "desc_act": False,
        "static_groups": True,
        "true_sequential": True,
        "lm_head": any(weight.role == "head" for weight in layout if packs(weight)),
        "pack_dtype": "int32",
        **({"dynamic": dynamic} if dynamic else {}),
    }


def grids_of(layout: Iterable[WeightPlan]) -> dict[str, Affine | None]:
    """As the matrices are stored, by module; a head only where it is packed, for a dense one needs no exception."""
    return {
        weight.name.removesuffix(".weight"): _carrier(weight) if packs(weight) else None
        for weight in layout
        if weight.role == "linear" or packs(weight)
    }


def _packed_grids(layout: Iterable[WeightPlan]) -> list[tuple[Affine, int]]:
    """Of every packed matrix: as it is stored, and how long its rows are."""
    return [(_carrier(weight), weight.shape[1]) for weight in layout if packs(weight)]


def _unknown_to_transformers(contents: Contents) -> Message | None:
    """transformers 5.23 gives a packed head random numbers without a word, and opens neither exceptions nor Conv1D."""
    if contents.facts.anatomy.conv1d:
        return Message("gptq.transformers_conv1d", family=contents.facts.family)
    if any(weight.role == "head" and packs(weight) for weight in contents.layout):
        return Message("gptq.transformers_head")
    return Message("gptq.transformers_mixed") if len(set(grids_of(contents.layout).values())) > 1 else None


def _in_words(grid: Affine) -> dict[str, Any]:
    return {"bits": grid.bits, "group_size": grid.group_size or -1, "sym": grid.symmetric}


def _carrier(weight: WeightPlan) -> Affine:
    """Groups that divide a row where they are of a known size; else as they are, the last one of a row shorter."""
    own, (rows, columns) = packed_grid(weight), weight.shape
    whole = rows % WORD == 0 and columns % WORD == 0  # 3 bits are unpacked 32 at a time
    grid = carrier(own, columns, (2, 3, 4, 8) if whole else (2, 4, 8))
    if own.group_size == columns in GROUPS:  # by its size, not as a whole row: the same grid as longer rows have
        return Affine(grid.bits, columns, grid.symmetric)
    if grid.group_size in (0, *GROUPS):
        return grid
    return Affine(grid.bits, own.group_size, grid.symmetric)


def _bytes(weight: WeightPlan) -> int:
    if not packs(weight):
        return weight.count * BITS[weight.dtype] // 8 + ENTRY_BYTES
    rows, columns = weight.shape
    grid = _carrier(weight)
    groups = grid.groups(columns)
    words = ceil(columns * grid.bits / WORD) * rows + groups * ceil(rows * grid.bits / WORD) + columns
    return 4 * words + 2 * groups * rows + 4 * ENTRY_BYTES


def _tensors(carried: Carried, less: int) -> dict[str, Tensor]:
    import torch
    from compresslab.exports.words import packed

    bits, columns = carried.grid.bits, carried.codes.shape[1]
    return {
        "qweight": packed(carried.codes, bits).T.contiguous(),
        "qzeros": packed((carried.zeros - less).T, bits).contiguous(),
        "scales": carried.scales.T.contiguous(),
        "g_idx": (torch.arange(columns) // (carried.grid.group_size or columns)).int(),
    }
