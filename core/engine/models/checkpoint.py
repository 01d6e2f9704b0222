"""Reading a checkpoint: safetensors or GGUF, and config.json, never code, never pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compresslab.engine.models.architecture import module_and_extra
from compresslab.engine.models.device import Choice
from compresslab.engine.models.gguf_weights import readers
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.offload import load_offloaded
from compresslab.engine.models.on_disk import usable
from compresslab.errors import BadInput, first_line
from compresslab.models.facts import ModelFacts, model_name, read_facts, without
from compresslab.models.hub import fetch
from compresslab.models.source import weight_files
from compresslab.models.weights import WeightPlan
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer


def load_baseline(name: str, choice: Choice, *, offloaded: bool = False) -> CompressedModel:
    """The uncompressed model, fetched from the Hub where it is not here yet. Raises BadInput."""
    folder = fetch(name)
    facts = read_facts(name)
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    if facts.task == "causal":
        config.tie_word_embeddings = facts.tied  # as the file has it: what is written down later must say so too
    if offloaded:
        return load_offloaded(folder, facts, config, tokenizer, choice)
    tensors = _read_tensors(folder, facts)
    values = {key: tensor.float() for key, tensor in tensors.items()}
    module, extra = module_and_extra(config, values, choice.dtype, choice.device)
    facts = without(facts, extra) if extra else facts
    return CompressedModel(
        facts=facts,
        weights={weight.name: weight for weight in facts.weights},
        stored={weight.name: tensors[weight.name].to(choice.device) for weight in facts.weights},
        masks={},
        module=module,
        tokenizer=tokenizer,
        device=choice.device,
        dtype=choice.dtype,
    )


def _read_tensors(folder: Path, facts: ModelFacts) -> dict[str, Tensor]:
    """Every weight that the facts name, [out, in] for matrices, in the dtype of the checkpoint."""
    tensors: dict[str, Tensor] = {}
    files = weight_files(folder, facts.name)
    if facts.types:
        return {name: read() for name, read in readers(facts, files[0]).items()}
    for file in files:
        try:
            loaded = load_file(file)
        except (SafetensorError, OSError):
            raise BadInput("model.cut_off", file=file) from None
        tensors |= {model_name(key, facts.anatomy): tensor for key, tensor in loaded.items()}
    return {weight.name: _turned(tensors[facts.held_as(weight.name)], weight, facts) for weight in facts.weights}


def _turned(tensor: Tensor, weight: WeightPlan, facts: ModelFacts) -> Tensor:
    tensor = usable(tensor, weight.name, facts.name)
    return tensor.T.contiguous() if facts.anatomy.conv1d and weight.role == "linear" else tensor


def read_config(folder: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 configs validate themselves, each class in its own way
        raise BadInput("model.config_unusable", folder=folder, reason=first_line(error)) from None
    if not getattr(config, "quantization_config", True):  # null: transformers would look for its quantizer
        del config.quantization_config
    return config


def read_tokenizer(folder: Path) -> Any:
    """Raises BadInput, also where the tokenizer's native code gives up on its file."""
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 tokenizers raises plain Exception, and panics that are none
        raise BadInput("model.no_tokenizer", folder=folder, reason=first_line(error)) from None
