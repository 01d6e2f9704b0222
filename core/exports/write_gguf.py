"""The file itself, through the gguf package: metadata, tokenizer, tensors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import torch
from compresslab.engine.models.model import effective
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import BadInput, RunFailed
from compresslab.exports import gguf_blocks, gguf_tokenizer
from compresslab.models.families import FAMILIES
from compresslab.models.gguf import metadata as gguf_metadata
from compresslab.models.gguf import tensors as gguf_tensors
from compresslab.models.gguf.rotation import FACTORS, factors
from compresslab.models.weights import WeightPlan
from torch import Tensor

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel

Array = np.ndarray[Any, Any]


def write(model: CompressedModel, layout: list[tuple[WeightPlan, str]], file: Path) -> None:
    """`layout` says in which type each weight is stored. Raises RunFailed for one that GGUF has no name for."""
    config = model.module.config.to_dict()
    family = FAMILIES[config["model_type"]]
    architecture = gguf_metadata.row_of(family).architecture
    sizes = gguf_metadata.metadata(config)
    writer = gguf.GGUFWriter(file, architecture)
    _add_sizes(writer, sizes)
    _add_file_type(writer, layout)
    _add_tokenizer(writer, model, config)
    for weight, kind in layout:
        found = gguf_tensors.gguf_name(weight.name, family)
        if found is None:
            raise RunFailed("gguf.no_name", name=weight.name, architecture=architecture)
        data = _data(weight, model.stored[weight.name], kind, gguf_tensors.norm_shift(found, family))
        heads = gguf_tensors.heads_by_pairs(found, family, sizes)
        in_order = data if heads is None else gguf_tensors.by_pairs(data, heads)
        writer.add_tensor(found, np.ascontiguousarray(in_order), raw_dtype=gguf.GGMLQuantizationType[kind])
    stretched = _rope_factors(config)
    if stretched is not None:
        writer.add_tensor(FACTORS, stretched)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def rounded(model: CompressedModel, layout: list[tuple[WeightPlan, str]]) -> dict[str, Tensor]:
    """These weights as they come back from the types in which they are stored, in the order of the model's rows."""
    found = {}
    for weight, kind in layout:
        data = _data(weight, model.stored[weight.name], kind, 0)
        back = torch.from_numpy(gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind]).astype(np.float32))
        if not torch.equal(back, effective(model.stored[weight.name]).cpu()):
            found[weight.name] = back
    return found


def _add_sizes(writer: gguf.GGUFWriter, sizes: gguf_metadata.Metadata) -> None:
    for key, value in sizes.items():
        if isinstance(value, float):
            writer.add_float32(f"{writer.arch}.{key}", value)
        else:
            writer.add_uint32(f"{writer.arch}.{key}", value)
    if "rope.scaling.factor" in sizes:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)


def _add_file_type(writer: gguf.GGUFWriter, layout: list[tuple[WeightPlan, str]]) -> None:
    """What most of its matrices are."""
    common = Counter(kind for weight, kind in layout if weight.role != "other").most_common(1)[0][0]
    name = "ALL_F32" if common == "F32" else f"MOSTLY_{common}"
    writer.add_file_type(gguf.LlamaFileType[name])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer: gguf.GGUFWriter, model: CompressedModel, config: dict[str, Any]) -> None:
    found = vocabulary_of(model, config)
    writer.add_name(found.name)
    writer.add_tokenizer_model(found.model)
    writer.add_tokenizer_pre(found.split)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.kinds)
    if found.model == "gpt2":
        writer.add_token_merges(found.merges)
    else:
        writer.add_token_scores(found.scores)
        writer.add_add_space_prefix(found.space_first)
    for name, number in found.ids.items():
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(found.begins)
    writer.add_add_eos_token(found.ends)
    if model.tokenizer.chat_template:
        writer.add_chat_template(_templates(model.tokenizer.chat_template))


def vocabulary_of(model: CompressedModel, config: dict[str, Any]) -> gguf_tokenizer.Vocabulary:
    """Of the tokenizer as it is in memory: what tokenizer_config.json asks for has been put into it there.

    Raises BadInput where llama.cpp would cut a text in another way.
    """
    plain = json.loads(model.tokenizer.backend_tokenizer.to_str())
    reason = gguf_tokenizer.misfit(plain)
    if reason:
        raise BadInput(reason)
    written = model.facts.generation
    padding = [] if written.padding is None else [written.padding]
    tokens = {"bos": _several(config.get("bos_token_id")), "eos": written.ends, "pad": padding}
    return gguf_tokenizer.vocabulary(plain, config["vocab_size"], Path(model.facts.name).name, tokens)


def _several(tokens: int | list[int] | None) -> list[int]:
    return tokens if isinstance(tokens, list) else [] if tokens is None else [tokens]


def _templates(said: str | dict[str, str]) -> str | list[dict[str, str]]:
    """One template, or several by name."""
    return said if isinstance(said, str) else [{"name": name, "template": text} for name, text in said.items()]


def _data(weight: WeightPlan, stored: Tensor | QuantizedWeight, kind: str, shift: int) -> Array:
    """The tensor as it lies in the file: bytes of blocks, or plain values."""
    if isinstance(stored, QuantizedWeight) and gguf_blocks.holds(weight):
        if kind == gguf_blocks.WITH_MINIMUM.name:
            return gguf_blocks.with_minimum(stored)
        return gguf_blocks.stepped(stored, gguf_blocks.KINDS[kind])
    values = effective(stored).cpu().numpy() + shift if shift else effective(stored).cpu().numpy()
    data: Array = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
    return data


def _rope_factors(config: dict[str, Any]) -> Array | None:
    """By how much each frequency is divided where long contexts are stretched as in Llama 3; None elsewhere."""
    turning = gguf_metadata.rope(config)
    if turning.get("rope_type") != "llama3":
        return None
    return factors(turning, gguf_metadata.head_dim(config))
