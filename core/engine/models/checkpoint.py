"""Reading a checkpoint: safetensors and config.json, never code, never pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compresslab.engine.models.architecture import module_of
from compresslab.engine.models.device import Choice
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.offload import load_offloaded
from compresslab.errors import BadInput, first_line
from compresslab.models.facts import ModelFacts, model_name, read_facts
from compresslab.models.hub import fetch
from compresslab.models.source import weight_files
from compresslab.models.weights import WeightPlan
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer


def load_baseline(name: str, choice: Choice, *, offloaded: bool = False) -> CompressedModel:
    """The uncompressed model, fetched from the Hub where it is not here yet. Raises BadInput."""
    folder = fetch(name)
    facts = read_facts(name)
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    if offloaded:
        return load_offloaded(folder, facts, config, tokenizer, choice)
    tensors = _read_tensors(folder, facts)
    values = {key: tensor.float() for key, tensor in tensors.items()}
    return CompressedModel(
        facts=facts,
        weights={weight.name: weight for weight in facts.weights},
        stored={key: tensor.to(choice.device) for key, tensor in tensors.items()},
        masks={},
        module=module_of(config, values, choice.dtype, choice.device),
        tokenizer=tokenizer,
        device=choice.device,
        dtype=choice.dtype,
    )


def _read_tensors(folder: Path, facts: ModelFacts) -> dict[str, Tensor]:
    """Every weight that the facts name, [out, in] for matrices, in the dtype of the checkpoint."""
    tensors: dict[str, Tensor] = {}
    for file in weight_files(folder, facts.name):
        tensors |= {model_name(key, facts.anatomy): tensor for key, tensor in load_file(file).items()}
    return {weight.name: _turned(tensors[weight.name], weight, facts) for weight in facts.weights}


def _turned(tensor: Tensor, weight: WeightPlan, facts: ModelFacts) -> Tensor:
    return tensor.T.contiguous() if facts.anatomy.conv1d and weight.role == "linear" else tensor


def read_config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput("model.config_unusable", folder=folder, reason=first_line(error)) from None


def read_tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput("model.no_tokenizer", folder=folder, reason=first_line(error)) from None
