"""compressed-tensors, `pack-quantized`: what llm-compressor writes and vLLM and transformers read.

For a matrix W [rows, columns] (the package's compressors/pack_quantized, version 0.19):
- `weight_packed`      int32: codes of a row, one after the other, dense;
- `weight_scale`       float16 [rows, groups];
- `weight_zero_point`  int32 [words, groups], only on asymmetric grids: codes packed down each column;
- `weight_shape`       int64 [2].
Codes are stored from 0 on; the reader takes 2^(bits-1) off codes and zero points alike. Groups stay in place with us,
also in GPTQ's act-order, so no group index is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.exports.carried import carrier, nothing_packed, packed_grid, packs
from compresslab.exports.dense import ENTRY_BYTES
from compresslab.exports.format import Contents, Format, Reopened, written_dense
from compresslab.exports.vllm import parted, runs
from compresslab.grids.affine import Affine
from compresslab.messages import Message
from compresslab.models.packed_layout import BITS
from compresslab.models.weights import WeightPlan
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from torch import Tensor

EVERY_WIDTH = tuple(range(2, 9))
KERNEL_WIDTHS = (4, 8)
NAME = "pack-quantized"


class CompressedTensors(Format):
    """Packed codes, scales and zero points; whatever is not quantized stays as it is."""

    name: ClassVar[str] = "compressed-tensors"
    place: ClassVar[int] = 30
    label: ClassVar[str] = "compressed-tensors checkpoint"
    plain: ClassVar[str] = "Small files for servers: vLLM runs the low-bit weights directly."
    help: ClassVar[str] = (
        "The pack-quantized format of compressed-tensors: int32-packed codes with float16 scales and zero points, "
        "symmetric or not, per group or per row, widths mixed by config group. Embeddings are stored dense."
    )
    opened_by: ClassVar[tuple[str, ...]] = ("transformers", "vLLM")
    untried: ClassVar[tuple[str, ...]] = ("vLLM",)
    weight_files: ClassVar[tuple[str, ...]] = ("*.safetensors",)

    widths: Literal["kernel", "true"] = setting(
        "kernel",
        label="Widths",
        plain="Use the widths that fast kernels support, or the smallest possible.",
        help="kernel: 2 and 3 bits are stored in 4, 5 to 7 in 8, value for value, because vLLM's kernels support 4 "
        "and 8. true: every matrix at its own width; opens only in transformers, with compressed-tensors 0.19 or "
        "newer.",
    )

    def refuses(self, contents: Contents) -> Message | None:
        if contents.facts.anatomy.conv1d:
            return Message("compressed_tensors.conv1d", family=contents.facts.family)
        return nothing_packed(contents)

    def dequantizes(self, contents: Contents) -> Message | None:
        return written_dense(contents.quantized)

    def shut_out(self, contents: Contents) -> dict[str, Message]:
        """vLLM for what its kernels do not run; transformers for zero points: version 5.23 with compressed-tensors 0.20
        fails on every file that has them, the package's own too.
        """
        packed = [(self._carrier(weight), weight) for weight in contents.layout if packs(weight)]
        odd = next((weight for grid, weight in packed if not runs(grid, weight.shape[1])), None)
        reason = parted(self._grids(contents.layout)) if odd is None else _unknown_to_vllm(odd, self._carrier(odd))
        found = {} if reason is None else {"vLLM": reason}
        if all(grid.symmetric for grid, _ in packed):
            return found
        return found | {"transformers": Message("compressed_tensors.asymmetric")}

    def rounded(self, model: CompressedModel) -> dict[str, Tensor]:
        from compresslab.exports.checkpoint_folder import in_dtypes

        return in_dtypes(model, {weight.name: weight.dtype for weight in model.layout() if not packs(weight)})

    def estimated_bytes(self, contents: Contents) -> int:
        return sum(self._bytes(weight) for weight in contents.layout)

    def write(self, model: CompressedModel, folder: Path) -> None:
        from compresslab.exports.checkpoint_folder import dense_tensors, write_checkpoint

        layout = model.layout()
        tensors = dense_tensors(model, (weight.name for weight in layout if not packs(weight)))
        for weight in layout:
            if packs(weight):
                tensors |= self._tensors(weight, model.stored[weight.name])
        write_checkpoint(model, folder, tensors, self.quantization_config(layout))

    def reopen(self, folder: Path) -> Reopened:
        """The words are taken apart here."""
        from compresslab.exports import checkpoint_folder
        from compresslab.exports.read_compressed_tensors import dequantized

        config = checkpoint_folder.plain_config(folder)
        values = dequantized(folder)
        return Reopened(
            checkpoint_folder.logits_of_values(config, values),
            missing=Message("opened.compressed_tensors"),
            instead=Message("opened.own_reader"),
            cut=checkpoint_folder.cut_by_transformers(folder),
        )

    def reopen_elsewhere(self, folder: Path) -> Reopened | None:
        """By transformers with compressed-tensors."""
        if not find_spec("compressed_tensors"):
            return None
        import transformers
        from compresslab.exports.checkpoint_folder import logits_by_transformers

        by = Message("opened.transformers_with", version=transformers.__version__)
        return Reopened(logits_by_transformers(folder), by=by)

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        return {
            "vLLM": f"vllm serve {place}",
            "transformers": "# pip install compressed-tensors\nfrom transformers import AutoModelForCausalLM\n\n"
            f'model = AutoModelForCausalLM.from_pretrained("{place}")',
        }

    # -- inside -------------------------------------------------------------------------

    def _carrier(self, weight: WeightPlan) -> Affine:
        return carrier(packed_grid(weight), weight.shape[1], self._widths)

    @property
    def _widths(self) -> tuple[int, ...]:
        return KERNEL_WIDTHS if self.widths == "kernel" else EVERY_WIDTH

    def _grids(self, layout: Iterable[WeightPlan]) -> dict[str, Affine | None]:
        """As the matrices are stored, by module."""
        matrices = [weight for weight in layout if weight.role in ("linear", "head")]
        return {w.name.removesuffix(".weight"): self._carrier(w) if packs(w) else None for w in matrices}

    def _bytes(self, weight: WeightPlan) -> int:
        if not packs(weight):
            return weight.count * BITS[weight.dtype] // 8 + ENTRY_BYTES
        rows, columns = weight.shape
        grid = self._carrier(weight)
        groups = grid.groups(columns)
        zeros = 0 if grid.symmetric else 4 * _words(rows, grid.bits) * groups
        return 4 * rows * _words(columns, grid.bits) + 2 * rows * groups + zeros + 16 + 4 * ENTRY_BYTES

    def _tensors(self, weight: WeightPlan, quantized: Any) -> dict[str, Tensor]:
        import torch
        from compresslab.exports.carried import carry
        from compresslab.exports.words import packed

        carried = carry(quantized, self._carrier(weight))
        found = {
            "weight_packed": packed(carried.codes, carried.grid.bits),
            "weight_scale": carried.scales.contiguous(),
            "weight_shape": torch.tensor(weight.shape),
        }
        if not carried.grid.symmetric:
            found["weight_zero_point"] = packed(carried.zeros.T, carried.grid.bits).T.contiguous()
        module = weight.name.removesuffix(".weight")
        return {f"{module}.{part}": tensor for part, tensor in found.items()}

    def quantization_config(self, layout: list[WeightPlan]) -> dict[str, Any]:
        """What config.json says of it: one config group for every grid, the matrices named one by one."""
        members: dict[Affine, list[str]] = {}
        for weight in layout:
            if packs(weight):
                members.setdefault(self._carrier(weight), []).append(weight.name.removesuffix(".weight"))
        dense = [w.name.removesuffix(".weight") for w in layout if w.role in ("linear", "head") and not packs(w)]
        tied = [] if any(weight.role == "head" for weight in layout) else ["lm_head"]
        groups = {f"group_{n}": _group(grid, names) for n, (grid, names) in enumerate(members.items())}
        return {
            "quant_method": "compressed-tensors",
            "format": NAME,
            "quantization_status": "compressed",
            "config_groups": groups,
            "ignore": dense + tied,
            "kv_cache_scheme": None,
            "global_compression_ratio": None,
        }


def _unknown_to_vllm(weight: WeightPlan, grid: Affine) -> Message:
    group = Message("kernel.group", size=grid.group_size) if grid.group_size else Message("kernel.per_row")
    return Message("compressed_tensors.vllm", weight=weight.name, bits=grid.bits, group=group)


def _group(grid: Affine, names: list[str]) -> dict[str, Any]:
    weights = {
        "num_bits": grid.bits,
        "type": "int",
        "symmetric": grid.symmetric,
        "strategy": "group" if grid.group_size else "channel",
        "group_size": grid.group_size or None,
        "actorder": None,
        "dynamic": False,
        "block_structure": None,
        "observer": "minmax",
        "observer_kwargs": {},
    }
    return {"targets": names, "weights": weights, "input_activations": None, "output_activations": None, "format": NAME}


def _words(count: int, bits: int) -> int:
    return ceil(count * bits / 32)
