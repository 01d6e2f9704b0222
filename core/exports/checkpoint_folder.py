"""What every export for transformers has beside its quantized weights: dense ones, config, tokenizer.

And the way back: a plain module made of the folder's config and of weights that somebody else has read.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from compresslab.engine.models.architecture import as_stored, module_of
from compresslab.engine.models.model import STORAGE, effective
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel

WEIGHTS = "model.safetensors"
Logits = Callable[[Tensor], Tensor]


def dense_tensors(model: CompressedModel, names: Iterable[str]) -> dict[str, Tensor]:
    """Effective weights in the checkpoint's dtype, as its family stores them."""
    conv1d = model.facts.anatomy.conv1d
    found = {}
    for name in names:
        value = effective(model.stored[name]).to(STORAGE[model.weights[name].dtype])
        found[name] = as_stored(name, value, conv1d).cpu().contiguous()
    return found


def in_dtypes(model: CompressedModel, dtypes: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights as they come back, in float32, from the dtypes they are stored in: those that this changes."""
    found = {}
    for name, dtype in dtypes.items():
        value = effective(model.stored[name])
        back = value.to(STORAGE[dtype]).float()
        if not torch.equal(back, value):
            found[name] = back
    return found


def write_checkpoint(
    model: CompressedModel, folder: Path, tensors: dict[str, Tensor], quantization: dict[str, Any]
) -> None:
    """Weights, config with its quantization_config, generation config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config: Any = copy.deepcopy(model.module.config)
    config.dtype = STORAGE[model.weights[f"{model.facts.anatomy.embedding}.weight"].dtype]
    config.save_pretrained(folder)
    file = folder / "config.json"
    plain = json.loads(file.read_text(encoding="utf-8")) | {"quantization_config": quantization}
    file.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    model.facts.generation.write(folder)
    model.tokenizer.save_pretrained(folder)


def plain_config(folder: Path) -> Any:
    """The config without its word on quantization: the weights come dense."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.__dict__.pop("quantization_config", None)
    return config


def logits_of_values(config: Any, values: dict[str, Tensor]) -> Logits:
    """Of a dense float32 module made of these weights; matrices are [out, in]."""
    module: Any = module_of(config, values, torch.float32, torch.device("cpu"))
    return logits_of_module(module)


def logits_by_transformers(folder: Path) -> Logits:
    """As a user would open it: AutoModelForCausalLM, in float32."""
    module: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    return logits_of_module(module.eval())


def cut_by_transformers(folder: Path) -> Callable[[str], list[int]]:
    """As a user would cut a text: AutoTokenizer."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return lambda text: list(tokenizer(text, verbose=False).input_ids)


def logits_of_module(module: Any) -> Logits:
    def logits(ids: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = module(input_ids=ids, use_cache=False).logits
        return found.float()

    return logits
