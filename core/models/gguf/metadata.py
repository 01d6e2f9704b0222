"""Sizes in config.json and in the metadata of a GGUF file, one way and the other, as the family's row says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compresslab.models.anatomy import Anatomy
from compresslab.models.families import FAMILIES
from compresslab.models.family import SLIDING, Config, Family, Gguf

Metadata = dict[str, int | float]  # by key, without the architecture before it


def row_of(family: Family) -> Gguf:
    """Of a family that `gguf_family.misfit` has let through."""
    assert family.gguf is not None
    return family.gguf


def head_dim(config: Config) -> int:
    keys = FAMILIES[str(config["model_type"])].anatomy.keys
    said = config.get(keys.head_dim) if keys.head_dim else None
    return int(said or config[keys.hidden] // config[keys.heads])


def rope(config: Config) -> Config:
    """rope_type, rope_theta and what belongs to them, of any version of transformers."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    turned = {"rope_theta": config.get("rope_theta", 10000.0)}
    if config.get("partial_rotary_factor") is not None:
        turned["partial_rotary_factor"] = config["partial_rotary_factor"]
    return {**turned, **found}


def window(config: Config) -> int | None:
    """Tokens that a layer with a window looks back; None: every layer sees all."""
    unused = config.get("use_sliding_window") is False
    return None if unused else config.get("sliding_window")


def metadata(config: Config) -> Metadata:
    """What llama.cpp must be told of a model whose family has a row."""
    family = FAMILIES[str(config["model_type"])]
    row = row_of(family)
    found = _sizes(config, family) | (_rotation(config) if row.rotary else {})
    said = {number: config.get(number.config, None) for number in row.numbers}
    values = {number: number.unsaid if value is None else value for number, value in said.items()}
    found |= {number.key: number.kind(value) for number, value in values.items() if value is not None}
    return found | _stretching(config)


def _rotation(config: Config) -> Metadata:
    turning = rope(config)
    rows = int(head_dim(config) * turning.get("partial_rotary_factor", 1))
    return {"rope.dimension_count": rows, "rope.freq_base": float(turning["rope_theta"])}


def _stretching(config: Config) -> Metadata:
    turning = rope(config)
    return {"rope.scaling.factor": float(turning["factor"])} if turning.get("rope_type") == "linear" else {}


def attention_width(row: Gguf, depth: int, width: int, heads: int, head: int) -> int:
    """The number by whose root llama.cpp divides scores: the size of a head, or in some models hidden size / heads."""
    return width // heads if depth == row.scaled_by_width else head


def _sizes(config: Config, family: Family) -> Metadata:
    """What every family has, where its configs have a word for it."""
    names = _names(family.anatomy)
    unsaid = {
        "feed_forward_length": 4 * config[family.anatomy.keys.hidden],
        "attention.head_count_kv": config[family.anatomy.keys.heads],
        "attention.key_length": head_dim(config),
    }
    found = {key: config.get(name) or unsaid[key] for key, name in names.items()}
    found["context_length"] = _context(config, found["context_length"], row_of(family))
    if "attention.key_length" in found:
        found["attention.value_length"] = found["attention.key_length"]
    return found


def _context(config: Config, longest: int, row: Gguf) -> int:
    """Where every layer looks back no further than a window, and llama.cpp knows none, the window is the context."""
    return longest if SLIDING in row.layer_types else min(longest, window(config) or longest)


def config_values(family: Family, found: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The way back: what the config of a file's model says. `shapes` are those of its tensors, by name."""
    row = row_of(family)
    values = {name: found.get(key) for key, name in _names(family.anatomy).items()}
    values |= {number.config: found.get(number.key) for number in row.numbers}
    values = {name: value for name, value in values.items() if value is not None}
    values |= {switch: f"blk.0.{tensor}.bias" in shapes for switch, tensor in row.biases.items()}
    if row.attention_scale:
        depth, width, heads = (found[key] for key in ("block_count", "embedding_length", "attention.head_count"))
        values[row.attention_scale] = attention_width(row, depth, width, heads, _rows_of_head(found))
    if row.rotary:
        values["rope_parameters"] = _rope_parameters(found)
    values |= {"vocab_size": shapes["token_embd.weight"][0], "pad_token_id": None}
    return values | {"tie_word_embeddings": "output.weight" not in shapes}


def _rows_of_head(found: Mapping[str, Any]) -> int:
    return int(found.get("attention.key_length") or found["embedding_length"] // found["attention.head_count"])


def _rope_parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    factor, dim = found.get("rope.scaling.factor"), _rows_of_head(found)
    rows = found.get("rope.dimension_count", dim)
    return {
        "rope_theta": found.get("rope.freq_base", 10000.0),
        **({"partial_rotary_factor": rows / dim} if rows != dim else {}),
        **({"rope_type": "linear", "factor": factor} if factor else {"rope_type": "default"}),
    }


def _names(body: Anatomy) -> dict[str, str]:
    """What the config calls the sizes, by llama.cpp's keys."""
    keys = body.keys
    names = {
        "context_length": keys.context[0],
        "embedding_length": keys.hidden,
        "block_count": keys.depth,
        "feed_forward_length": keys.mlp_width,
        "attention.head_count": keys.heads,
        "attention.head_count_kv": keys.kv_heads,
        "attention.key_length": keys.head_dim,
    }
    return {key: name for key, name in names.items() if name is not None}
