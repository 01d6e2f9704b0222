"""The file itself, through the gguf package: metadata, tokenizer, tensors."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from compresslab.engine.models.model import effective
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import RunFailed
from compresslab.exports import gguf_blocks, gguf_family, gguf_tokenizer
from compresslab.models.weights import WeightPlan
from torch import Tensor

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel

Array = np.ndarray[Any, Any]
ARCHITECTURES = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}


def write(model: CompressedModel, layout: list[tuple[WeightPlan, str]], file: Path) -> None:
    """`layout` says in which type each weight is stored. Raises RunFailed for one that GGUF has no name for."""
    config = model.module.config.to_dict()
    family = gguf_family.FAMILIES[config["model_type"]]
    writer = gguf.GGUFWriter(file, family.architecture)
    _add_sizes(writer, config)
    _add_file_type(writer, layout)
    _add_tokenizer(writer, model, config)
    names = gguf.get_tensor_name_map(ARCHITECTURES[family.architecture], model.depth)
    for weight, kind in layout:
        found = names.get_name(weight.name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise RunFailed(f"GGUF has no name for {weight.name} in a model of the kind {family.architecture}.")
        data = _data(weight, model.stored[weight.name], kind, family)
        order = _row_order(weight.name, config) if family.permuted else None
        in_order = np.ascontiguousarray(data if order is None else data[order])
        writer.add_tensor(found, in_order, raw_dtype=gguf.GGMLQuantizationType[kind])
    factors = _rope_factors(config)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_sizes(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    sizes = gguf_family.sizes(config)
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
    plain = json.loads(model.tokenizer.backend_tokenizer.to_str())
    found = gguf_tokenizer.vocabulary(plain, config["vocab_size"])
    writer.add_tokenizer_model(found.model)
    writer.add_tokenizer_pre(found.split)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.kinds)
    if found.model == "gpt2":
        writer.add_token_merges(found.merges)
    else:
        writer.add_token_scores(found.scores)
        writer.add_add_space_prefix(found.space_first)
    if found.unknown is not None:
        writer.add_unk_token_id(found.unknown)
    for name, number in gguf_tokenizer.special_ids(config).items():
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(found.begins)
    if model.tokenizer.chat_template:
        writer.add_chat_template(model.tokenizer.chat_template)


def _data(weight: WeightPlan, stored: Tensor | QuantizedWeight, kind: str, family: gguf_family.Family) -> Array:
    """The tensor as it lies in the file: bytes of blocks, or plain values."""
    if isinstance(stored, QuantizedWeight) and gguf_blocks.holds(weight):
        if kind == gguf_blocks.WITH_MINIMUM.name:
            return gguf_blocks.with_minimum(stored)
        return gguf_blocks.stepped(stored, gguf_blocks.KINDS[kind])
    values = effective(stored).cpu().numpy()
    if family.shifted_norms and weight.name.endswith("norm.weight"):
        values = values + 1
    data: Array = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
    return data


def _row_order(name: str, config: dict[str, Any]) -> Array | None:
    """Rows of q and k in the order of llama.cpp: the two that rotate together side by side."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    count = next((number for part, number in heads.items() if f".{part}." in name), None)
    if count is None:
        return None
    rows = np.arange(count * gguf_family.head_dim(config))
    return rows.reshape(count, 2, -1).swapaxes(1, 2).reshape(-1)


def _rope_factors(config: dict[str, Any]) -> Array | None:
    """By how much each frequency is divided where long contexts are stretched as in Llama 3; None elsewhere."""
    turning = gguf_family.rope(config)
    if turning.get("rope_type") != "llama3":
        return None
    dim = gguf_family.head_dim(config)
    waves = 2 * math.pi * turning["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    factor, low, high = turning["factor"], turning["low_freq_factor"], turning["high_freq_factor"]
    context = turning["original_max_position_embeddings"]
    smooth = np.clip((context / waves - low) / (high - low), 0, 1)  # 1: short waves, left as they are
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
