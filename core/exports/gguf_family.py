"""What llama.cpp must be told of each family: its architecture's name, its sizes, and how its tensors differ.

Names of keys and what each architecture takes for granted are those of llama.cpp's own converter and loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]
Values = dict[str, int | float]


@dataclass(frozen=True)
class Family:
    architecture: str
    activation: str  # the only one that its graph computes
    permuted: bool = False  # rows of q and k by pairs that rotate together, not by halves
    shifted_norms: bool = False  # norms multiply by 1 + weight, which is stored as one number


FAMILIES = {  # by model_type
    "llama": Family("llama", "silu", permuted=True),
    "mistral": Family("llama", "silu", permuted=True),
    "qwen2": Family("qwen2", "silu"),
    "qwen3": Family("qwen3", "silu"),
    "gemma": Family("gemma", "gelu_pytorch_tanh", shifted_norms=True),
    "gemma2": Family("gemma2", "gelu_pytorch_tanh", shifted_norms=True),
    "smollm3": Family("smollm3", "silu", permuted=True),
    "phi": Family("phi2", "gelu_new"),
    "phi3": Family("phi3", "silu"),
    "gpt2": Family("gpt2", "gelu_new"),
}
NO_ROPE_STEP = 4  # every fourth block of SmolLM3 turns nothing
ROPES = ("default", "linear", "llama3")


def misfit(config: Config) -> str | None:
    """What llama.cpp would compute otherwise than this model does; None: nothing."""
    family = FAMILIES.get(str(config["model_type"]))
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        return f"GGUF files are written for {known}, not for {config['model_type']} yet; take transformers or onnx."
    checks = (_activation, _rope, _heads, _attention_scale, _layers, _unturned, _norms, _biases)
    return next((reason for reason in (check(config, family) for check in checks) if reason), None)


def _activation(config: Config, family: Family) -> str | None:
    names = ("hidden_activation", "activation_function", "hidden_act")
    used = next((config[name] for name in names if config.get(name)), family.activation)
    same = {"gelu_new", "gelu_pytorch_tanh"}
    if used == family.activation or {used, family.activation} <= same:
        return None
    return (
        f"llama.cpp computes {family.activation} in this family, and the model uses {used}; take transformers or onnx."
    )


def _rope(config: Config, family: Family) -> str | None:
    kind = rope(config).get("rope_type", "default")
    if kind in ROPES:
        return None
    return f"The model stretches its positions by {kind}, which is not written to GGUF; take transformers."


def _heads(config: Config, family: Family) -> str | None:
    if family.architecture == "gpt2" and config.get("scale_attn_by_inverse_layer_idx"):
        return "llama.cpp does not divide attention by the layer's number as this model does; take transformers."
    return None


def _attention_scale(config: Config, family: Family) -> str | None:
    scalar = config.get("query_pre_attn_scalar")
    if scalar is None or scalar == head_dim(config):
        return None
    return "llama.cpp scales attention by the head's size, and this model by another number; take transformers."


def _layers(config: Config, family: Family) -> str | None:
    kinds = config.get("layer_types") or []
    every_other = ["sliding_attention", "full_attention"] * len(kinds)
    expected = every_other[: len(kinds)] if family.architecture == "gemma2" else ["full_attention"] * len(kinds)
    if list(kinds) == expected or _window(config) is None:
        return None
    return "llama.cpp expects layers with and without a sliding window in another order; take transformers or onnx."


def _unturned(config: Config, family: Family) -> str | None:
    turned = config.get("no_rope_layers") or []
    if list(turned) == [int((number + 1) % NO_ROPE_STEP != 0) for number in range(len(turned))]:
        return None
    return f"llama.cpp leaves every {NO_ROPE_STEP}th block without positions, and this model others; take transformers."


def _norms(config: Config, family: Family) -> str | None:
    if config.get("qk_layernorm"):
        return "llama.cpp has no place for this model's norms of queries and keys; take transformers or onnx."
    return None


def _biases(config: Config, family: Family) -> str | None:
    if family.architecture != "llama" and (config.get("attention_bias") or config.get("mlp_bias")):
        return "llama.cpp has no place for the biases of this model; take transformers or onnx."
    return None


# -- sizes --------------------------------------------------------------------------------


def head_dim(config: Config) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def rope(config: Config) -> Config:
    """rope_type, rope_theta and what belongs to them, of any version of transformers."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    turned = {"rope_theta": config.get("rope_theta", 10000.0)}
    if config.get("partial_rotary_factor") is not None:
        turned["partial_rotary_factor"] = config["partial_rotary_factor"]
    return {**turned, **found}


def sizes(config: Config) -> Values:
    """Metadata by key, without the architecture before it."""
    return _gpt2_sizes(config) if config["model_type"] == "gpt2" else _llama_sizes(config)


def _gpt2_sizes(config: Config) -> Values:
    return {
        "context_length": config["n_positions"],
        "embedding_length": config["n_embd"],
        "block_count": config["n_layer"],
        "feed_forward_length": config.get("n_inner") or 4 * config["n_embd"],
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": float(config["layer_norm_epsilon"]),
    }


def _llama_sizes(config: Config) -> Values:
    dim, turning = head_dim(config), rope(config)
    found: Values = {
        "context_length": _context(config),
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config.get("num_key_value_heads") or config["num_attention_heads"],
        "attention.key_length": dim,
        "attention.value_length": dim,
        "rope.dimension_count": int(dim * turning.get("partial_rotary_factor", 1)),
        "rope.freq_base": float(turning["rope_theta"]),
        "vocab_size": config["vocab_size"],
    }
    if config["model_type"] == "phi":
        found["attention.layer_norm_epsilon"] = float(config["layer_norm_eps"])
    else:
        found["attention.layer_norm_rms_epsilon"] = float(config["rms_norm_eps"])
    caps = {"attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping"}
    found |= {key: float(config[name]) for key, name in caps.items() if config.get(name)}
    if config["model_type"] == "gemma2":
        found["attention.sliding_window"] = config["sliding_window"]
    if turning.get("rope_type") == "linear":
        found["rope.scaling.factor"] = float(turning["factor"])
    return found


def _context(config: Config) -> int:
    """Where every layer looks back no further than a window, and llama.cpp knows none, the window is the context."""
    window = None if config["model_type"] == "gemma2" else _window(config)
    return min(config["max_position_embeddings"], window or config["max_position_embeddings"])


def _window(config: Config) -> int | None:
    unused = config.get("use_sliding_window") is False
    return None if unused else config.get("sliding_window")
