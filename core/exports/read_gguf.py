"""A GGUF file answered from: by llama.cpp, or dequantized by the gguf package and put into a plain module.

The way back is written from llama.cpp's names, orders and keys, not from our writer: sizes come from the metadata,
names from the table here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from compresslab.engine.models.architecture import module_of
from compresslab.errors import RunFailed
from compresslab.exports.checkpoint_folder import Logits, logits_of_module
from torch import Tensor
from transformers import AutoConfig

Array = np.ndarray[Any, Any]
BLOCK = re.compile(r"^blk\.(\d+)\.(\w+)\.(weight|bias)$")
LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GEMMA2 = LLAMA | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
PHI2 = LLAMA | {"attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"}
PHI3 = LLAMA | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
AROUND = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True)
class Reading:
    """What transformers calls a model of an architecture, and its modules."""

    model_type: str
    blocks: str
    in_block: dict[str, str]
    around: dict[str, str]
    by_pairs: bool = False  # rows of q and k lie as pairs that rotate together


READINGS = {
    "llama": Reading("llama", "model.layers", LLAMA, AROUND, by_pairs=True),
    "qwen2": Reading("qwen2", "model.layers", LLAMA, AROUND),
    "qwen3": Reading("qwen3", "model.layers", LLAMA, AROUND),
    "gemma": Reading("gemma", "model.layers", LLAMA, AROUND),
    "gemma2": Reading("gemma2", "model.layers", GEMMA2, AROUND),
    "smollm3": Reading("smollm3", "model.layers", LLAMA, AROUND, by_pairs=True),
    "phi2": Reading("phi", "model.layers", PHI2, AROUND | {"output_norm": "model.final_layernorm"}),
    "phi3": Reading("phi3", "model.layers", PHI3, AROUND),
    "gpt2": Reading(
        "gpt2",
        "transformer.h",
        GPT2,
        {
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
        },
    ),
}


def by_llama_cpp(file: Path) -> Logits:
    """llama.cpp's own answers. Opened anew for each batch: it keeps logits for as long a text as it is opened for."""
    import llama_cpp

    def logits(ids: Tensor) -> Tensor:
        model = llama_cpp.Llama(str(file), n_ctx=ids.shape[1], logits_all=True, verbose=False)
        rows = []
        for row in ids.tolist():
            model.reset()
            model.eval(row)
            rows.append(torch.from_numpy(np.array(model.scores[: len(row)])))
        return torch.stack(rows).float()

    return logits


def by_definition(file: Path) -> Logits:
    """A plain float32 module of the file's sizes and values."""
    reader = gguf.GGUFReader(file)
    values = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    sizes = _Sizes(reader)
    config = sizes.config(values)
    factors = values.pop("rope_freqs.weight", None)
    weights = {_name(name, sizes.reading): _value(name, array, sizes) for name, array in values.items()}
    module: Any = module_of(config, weights, torch.float32, torch.device("cpu"))
    if factors is not None:
        module.model.rotary_emb.inv_freq /= torch.from_numpy(factors.copy())
    return logits_of_module(module)


class _Sizes:
    """The metadata of a file, by key without the architecture before it."""

    def __init__(self, reader: gguf.GGUFReader) -> None:
        self.reader = reader
        self.architecture = str(self._field("general.architecture"))
        self.reading = READINGS[self.architecture]

    def __getitem__(self, key: str) -> Any:
        return self._field(f"{self.architecture}.{key}")

    def _field(self, key: str) -> Any:
        found = self.reader.get_field(key)
        return None if found is None else found.contents()

    def config(self, values: dict[str, Array]) -> Any:
        return self._gpt2(values) if self.architecture == "gpt2" else self._llama(values)

    def _gpt2(self, values: dict[str, Array]) -> Any:
        return AutoConfig.for_model(
            "gpt2",
            vocab_size=len(values["token_embd.weight"]),
            n_positions=self["context_length"],
            n_embd=self["embedding_length"],
            n_layer=self["block_count"],
            n_head=self["attention.head_count"],
            n_inner=self["feed_forward_length"],
            layer_norm_epsilon=self["attention.layer_norm_epsilon"],
            tie_word_embeddings="output.weight" not in values,
        )

    def _llama(self, values: dict[str, Array]) -> Any:
        factor, dim = self["rope.scaling.factor"], self["attention.key_length"]
        turning = {
            "rope_theta": self["rope.freq_base"],
            "partial_rotary_factor": self["rope.dimension_count"] / dim,
            **({"rope_type": "linear", "factor": factor} if factor else {"rope_type": "default"}),
        }
        return AutoConfig.for_model(
            self.reading.model_type,
            vocab_size=len(values["token_embd.weight"]),
            max_position_embeddings=self["context_length"],
            hidden_size=self["embedding_length"],
            num_hidden_layers=self["block_count"],
            intermediate_size=self["feed_forward_length"],
            num_attention_heads=self["attention.head_count"],
            num_key_value_heads=self["attention.head_count_kv"],
            head_dim=dim,
            rope_parameters=turning,
            tie_word_embeddings="output.weight" not in values,
            pad_token_id=None,
            **self._own(values),
        )

    def _own(self, values: dict[str, Array]) -> dict[str, Any]:
        """What not every architecture of the Llama kind says."""
        if self.architecture == "phi2":
            return {"layer_norm_eps": self["attention.layer_norm_epsilon"]}
        found: dict[str, Any] = {"rms_norm_eps": self["attention.layer_norm_rms_epsilon"]}
        if self.architecture == "llama":
            found |= {"attention_bias": "blk.0.attn_q.bias" in values, "mlp_bias": "blk.0.ffn_up.bias" in values}
        if self.architecture == "gemma2":
            found |= {
                "attn_logit_softcapping": self["attn_logit_softcapping"],
                "final_logit_softcapping": self["final_logit_softcapping"],
                "sliding_window": self["attention.sliding_window"],
                "query_pre_attn_scalar": self["attention.key_length"],
            }
        return found


def _name(name: str, reading: Reading) -> str:
    """transformers' name of a tensor. Raises RunFailed."""
    block = BLOCK.match(name)
    if block is not None and block[2] in reading.in_block:
        return f"{reading.blocks}.{block[1]}.{reading.in_block[block[2]]}.{block[3]}"
    stem, _, kind = name.rpartition(".")
    if stem not in reading.around:
        raise RunFailed(f"The GGUF file has a tensor {name} that a model of its architecture has no place for.")
    return f"{reading.around[stem]}.{kind}"


def _value(name: str, array: Array, sizes: _Sizes) -> Tensor:
    """As transformers has it: q and k of Llama by halves again, Gemma's norms without the one."""
    heads = {"attn_q": sizes["attention.head_count"], "attn_k": sizes["attention.head_count_kv"]}
    part = name.split(".")[-2]
    if sizes.reading.by_pairs and part in heads:
        pairs = array.reshape(heads[part], -1, 2, *array.shape[1:])
        array = pairs.swapaxes(1, 2).reshape(array.shape)
    if sizes.architecture.startswith("gemma") and name.endswith("norm.weight"):
        array = array - 1
    return torch.from_numpy(np.array(array, dtype=np.float32))
