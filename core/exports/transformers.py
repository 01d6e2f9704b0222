"""An ordinary Hugging Face checkpoint: what plain transformers, and whatever reads its files, loads.

Every weight is written as it takes effect, in the checkpoint's dtype. Zeros and low bits are in the values, not in the
bytes: the file is smaller only where shapes are. Weights that are float32 or not quantized come back to the bit;
a quantized one of a float16 or bfloat16 checkpoint is rounded to that once more (relative 2^-11 or 2^-8).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from core.engine.architecture import as_stored
from core.engine.model import STORAGE, CompressedModel, effective
from core.engine.packing import new_folder

WEIGHTS = "model.safetensors"


def write(model: CompressedModel, folder: Path) -> None:
    """Weights, config, generation config and tokenizer; the folder takes its name when all is there.

    Raises RunFailed where the disk says no.
    """
    with new_folder(folder) as temporary:
        temporary.mkdir(parents=True)
        save_file(_tensors(model), temporary / WEIGHTS, metadata={"format": "pt"})
        _config(model).save_pretrained(temporary)
        if model.module.can_generate():
            model.module.generation_config.save_pretrained(temporary)
        model.tokenizer.save_pretrained(temporary)


def _config(model: CompressedModel) -> Any:
    config = copy.deepcopy(model.module.config)
    config.dtype = STORAGE[model.weights[f"{model.facts.anatomy.embedding}.weight"].dtype]
    return config


def _tensors(model: CompressedModel) -> dict[str, Tensor]:
    conv1d = model.facts.anatomy.conv1d
    values = {name: effective(stored).to(STORAGE[model.weights[name].dtype]) for name, stored in model.stored.items()}
    return {name: as_stored(name, value, conv1d).cpu().contiguous() for name, value in values.items()}
