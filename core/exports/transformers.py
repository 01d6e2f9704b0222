"""An ordinary Hugging Face checkpoint: what plain transformers, and whatever reads its files, loads.

Every weight is written as it takes effect. Zeros and low bits are in the values, not in the bytes: the file is smaller
only where shapes are. Values come back to the bit in float32; in float16 or bfloat16 a quantized one is rounded to that
once more (relative 2^-11 or 2^-8).
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.exports.dense import ENTRY_BYTES, STORED
from compresslab.exports.format import Contents, Format, Reopened, written_dense
from compresslab.messages import Message, plain
from compresslab.models.anatomy import Task
from compresslab.models.families import FAMILIES
from compresslab.models.packed_layout import BITS
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from torch import Tensor

WEIGHTS = "model.safetensors"
CLASSES: dict[Task, str] = {
    "causal": "AutoModelForCausalLM",
    "classification": "AutoModelForSequenceClassification",
    "seq2seq": "AutoModelForSeq2SeqLM",
}


class Transformers(Format):
    """Dense safetensors, config, tokenizer."""

    name: ClassVar[str] = "transformers"
    place: ClassVar[int] = 50
    label: ClassVar[str] = "Hugging Face checkpoint"
    plain: ClassVar[str] = (
        "Opens almost everywhere, with no special kernels. Smaller only where layers or channels were removed."
    )
    help: ClassVar[str] = (
        "Dense safetensors of the effective weights, with config and tokenizer: what AutoModel.from_pretrained loads."
    )
    opened_by: ClassVar[tuple[str, ...]] = ("transformers", "vLLM")
    untried: ClassVar[tuple[str, ...]] = ("vLLM",)
    weight_files: ClassVar[tuple[str, ...]] = ("*.safetensors",)
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification", "seq2seq")

    dtype: Literal["checkpoint", "float32", "float16", "bfloat16"] = setting(
        "checkpoint",
        label="Stored as",
        plain="How finely each number is stored. float32 keeps every digit and takes twice the space.",
        help="The dtype of the stored weights; checkpoint means that of the baseline. float32 reproduces quantized "
        "weights to the bit; float16 and bfloat16 round them once more.",
    )

    def dequantizes(self, contents: Contents) -> Message | None:
        return written_dense(contents.quantized)

    def shut_out(self, contents: Contents) -> dict[str, Message]:
        if contents.facts.task == "causal":
            return {}
        return {"vLLM": Message("export.vllm_causal")}

    def rounded(self, model: CompressedModel) -> dict[str, Tensor]:
        from compresslab.exports.checkpoint_folder import in_dtypes

        return in_dtypes(model, {name: self._stored(weight.dtype) for name, weight in model.weights.items()})

    def estimated_bytes(self, contents: Contents) -> int:
        values = sum(weight.count * BITS[self._stored(weight.dtype)] // 8 for weight in contents.layout)
        return values + ENTRY_BYTES * len(contents.layout)

    def write(self, model: CompressedModel, folder: Path) -> None:
        """Weights, config, generation config and tokenizer."""
        from compresslab.engine.models.model import STORAGE
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._tensors(model), folder / WEIGHTS, metadata={"format": "pt"})
        config: Any = copy.deepcopy(model.module.config)
        config.dtype = STORAGE[self._stored(model.weights[f"{model.facts.anatomy.embedding}.weight"].dtype)]
        config.save_pretrained(folder)
        if model.module.can_generate():
            model.facts.generation.write(folder)
        model.tokenizer.save_pretrained(folder)

    def reopen(self, folder: Path) -> Reopened:
        """By plain transformers, with no code of ours. An encoder-decoder is given what it shall say as labels."""
        import torch
        import transformers
        from compresslab.exports.checkpoint_folder import cut_by_transformers

        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        task = FAMILIES[model_type].anatomy.task
        module = getattr(transformers, CLASSES[task]).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        module.eval()

        def logits(ids: Tensor) -> Tensor:
            labels = {"labels": ids} if task == "seq2seq" else {}
            with torch.inference_mode():
                found: Tensor = module(input_ids=ids, **labels).logits
            return found.float()

        by = plain(f"transformers {transformers.__version__}")
        return Reopened(logits, by=by, cut=cut_by_transformers(folder))

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        name = CLASSES[contents.facts.task]
        return {
            "transformers": f"from transformers import {name}, AutoTokenizer\n\n"
            f'model = {name}.from_pretrained("{place}")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{place}")',
            "vLLM": f"vllm serve {place}",
        }

    def _stored(self, dtype: str) -> str:
        return STORED.get(self.dtype, dtype)

    def _tensors(self, model: CompressedModel) -> dict[str, Tensor]:
        """Raises BadInput for a value that the dtype does not reach."""
        from compresslab.engine.models.architecture import as_stored
        from compresslab.engine.models.model import STORAGE, effective

        found = {}
        for name, stored in model.stored.items():
            value = effective(stored).to(STORAGE[self._stored(model.weights[name].dtype)])
            if not bool(value.isfinite().all()):
                raise BadInput("export.out_of_range", name=name, dtype=self.dtype)
            found[name] = as_stored(name, value, model.facts.anatomy.conv1d).cpu().contiguous()
        return found
