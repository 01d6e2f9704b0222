"""Tensors under llama.cpp's names, in its order of rows and with its values, one way and the other.

Names follow from the anatomy; a family's row adds what the anatomy does not have.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from compresslab.models.anatomy import Anatomy
from compresslab.models.family import Family
from compresslab.models.gguf.metadata import Metadata, row_of

Array = np.ndarray[Any, Any]
IN_BLOCK = re.compile(r"^blk\.(\d+)\.(\w+)\.(weight|bias)$")
HEADS = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}


def gguf_name(name: str, family: Family) -> str | None:
    """llama.cpp's name of a weight of the model; None where it has no place for it."""
    module, _, kind = name.rpartition(".")
    layer, _, inner = module.removeprefix(f"{family.anatomy.blocks}.").partition(".")
    if module.startswith(f"{family.anatomy.blocks}."):
        found = _stem(inner, in_block(family))
        return found and f"blk.{layer}.{found}.{kind}"
    found = _stem(module, around(family))
    return found and f"{found}.{kind}"


def model_name(name: str, family: Family) -> str | None:
    """The way back; None for a tensor that a model of the family has no place for."""
    block = IN_BLOCK.match(name)
    if block is not None:
        inner = in_block(family).get(block[2])
        return inner and f"{family.anatomy.module(int(block[1]), inner)}.{block[3]}"
    stem, _, kind = name.rpartition(".")
    module = around(family).get(stem)
    return module and f"{module}.{kind}"


def in_block(family: Family) -> dict[str, str]:
    """Modules of a block by llama.cpp's names."""
    attention, mlp = family.anatomy.attention, family.anatomy.mlp
    inputs = ("attn_q", "attn_k", "attn_v") if attention.layout == "separate" else ("attn_qkv",)
    found = dict(zip(inputs, attention.inputs, strict=True))
    found |= {"attn_output": attention.output, "ffn_up": mlp.up, "ffn_down": mlp.output}
    if mlp.gate is not None and mlp.gate != mlp.up:
        found["ffn_gate"] = mlp.gate
    return found | _norms(family.anatomy) | dict(row_of(family).in_block)


def around(family: Family) -> dict[str, str]:
    """The same outside the blocks."""
    body = family.anatomy
    norm = {"output_norm": body.final_norm.name} if body.final_norm else {}
    return {"token_embd": body.embedding, "output": body.head} | norm | dict(row_of(family).around)


def _norms(body: Anatomy) -> dict[str, str]:
    found = {
        "attn_norm": body.attention.norm,
        "post_attention_norm": body.attention.after,
        "ffn_norm": None if body.shares_norm else body.mlp.norm,
        "post_ffw_norm": body.mlp.after,
    }
    return {stem: norm.name for stem, norm in found.items() if norm is not None}


def _stem(module: str, names: dict[str, str]) -> str | None:
    return next((stem for stem, name in names.items() if name == module), None)


def heads_by_pairs(name: str, family: Family, sizes: Metadata) -> int | None:
    """Of a tensor, by llama.cpp's name, whose rows lie by pairs there: how many heads it has. None for others."""
    key = HEADS.get(name.split(".")[-2])
    return int(sizes[key]) if key and row_of(family).by_pairs else None


def by_pairs(array: Array, heads: int) -> Array:
    """Rows of q or k with the two that rotate together side by side."""
    halves = array.reshape(heads, 2, -1, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def by_halves(array: Array, heads: int) -> Array:
    """As transformers has them: first the one of every pair, then the other."""
    pairs = array.reshape(heads, -1, 2, *array.shape[1:])
    return pairs.swapaxes(1, 2).reshape(array.shape)


def norm_shift(name: str, family: Family) -> int:
    """What is added to a norm that multiplies by 1 + weight: llama.cpp multiplies by what is stored."""
    final = family.anatomy.final_norm
    return int(final is not None and final.kind == "rms_plus_one" and name.endswith("norm.weight"))
