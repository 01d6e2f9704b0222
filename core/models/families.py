"""The one table of model families, with the anatomy of all that write on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from compresslab.models.anatomy import Anatomy, Attention, Keys, Mlp, Norm
from compresslab.models.encoder_families import ENCODERS, encoder_anatomy


def _rms(name: str) -> Norm:
    return Norm(name, "rms")


def _layer(name: str) -> Norm:
    return Norm(name, "layer")


def _plus_one(name: str) -> Norm:
    return Norm(name, "rms_plus_one")


SELF_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
FIXED = Keys(kv_heads=None, head_dim=None)  # heads times their size is the hidden size
LLAMA = Anatomy(
    root="model",
    blocks="model.layers",
    embedding="model.embed_tokens",
    final_norm=_rms("model.norm"),
    attention=Attention(SELF_ATTENTION, "separate", "self_attn.o_proj", _rms("input_layernorm")),
    mlp=Mlp("mlp.up_proj", "mlp.down_proj", _rms("post_attention_layernorm"), gate="mlp.gate_proj"),
    head_count="divisors",
)
WITH_LAYER_TYPES = replace(LLAMA, keys=Keys(per_layer=("layer_types",)), head_count="free")
GEMMA = replace(
    LLAMA,
    final_norm=_plus_one("model.norm"),
    attention=replace(LLAMA.attention, norm=_plus_one("input_layernorm")),
    mlp=replace(LLAMA.mlp, norm=_plus_one("post_attention_layernorm")),
    head_count="free",
    tied=True,
    activation="gelu_pytorch_tanh",
)
GEMMA2 = replace(
    GEMMA,
    attention=replace(GEMMA.attention, after=_plus_one("post_attention_layernorm")),
    mlp=replace(GEMMA.mlp, norm=_plus_one("pre_feedforward_layernorm"), after=_plus_one("post_feedforward_layernorm")),
    keys=Keys(activation="hidden_activation", per_layer=("layer_types",)),
    head_count="divisors",
)
GPT2 = Anatomy(
    root="transformer",
    blocks="transformer.h",
    embedding="transformer.wte",
    final_norm=_layer("transformer.ln_f"),
    attention=Attention(("attn.c_attn",), "stacked", "attn.c_proj", _layer("ln_1")),
    mlp=Mlp("mlp.c_fc", "mlp.c_proj", _layer("ln_2")),
    keys=replace(
        FIXED,
        depth="n_layer",
        hidden="n_embd",
        heads="n_head",
        mlp_width="n_inner",
        context=("n_positions", "n_ctx"),
        activation="activation_function",
    ),
    head_count="fixed",
    tied=True,
    activation="gelu_new",
    conv1d=True,
)
GPT_NEOX = Anatomy(
    root="gpt_neox",
    blocks="gpt_neox.layers",
    embedding="gpt_neox.embed_in",
    final_norm=_layer("gpt_neox.final_layer_norm"),
    attention=Attention(("attention.query_key_value",), "interleaved", "attention.dense", _layer("input_layernorm")),
    mlp=Mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", _layer("post_attention_layernorm")),
    keys=FIXED,
    parallel=True,
    head_count="fixed",
    activation="gelu",
    renamed=(("embed_out", "lm_head"),),
)
BLOOM = Anatomy(
    root="transformer",
    blocks="transformer.h",
    embedding="transformer.word_embeddings",
    final_norm=_layer("transformer.ln_f"),
    attention=Attention(
        ("self_attention.query_key_value",), "interleaved", "self_attention.dense", _layer("input_layernorm")
    ),
    mlp=Mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", _layer("post_attention_layernorm")),
    keys=replace(FIXED, depth="n_layer", heads="n_head", mlp_width=None, context=("seq_length",), activation=None),
    head_count="fixed",
    tied=True,
    activation="gelu_pytorch_tanh",
    context=2048,  # ALiBi has no end; this is the length that BLOOM was trained with
)
OPT = Anatomy(
    root="model",
    blocks="model.decoder.layers",
    embedding="model.decoder.embed_tokens",
    final_norm=_layer("model.decoder.final_layer_norm"),
    attention=Attention(SELF_ATTENTION, "separate", "self_attn.out_proj", _layer("self_attn_layer_norm")),
    mlp=Mlp("fc1", "fc2", _layer("final_layer_norm")),
    keys=replace(FIXED, mlp_width="ffn_dim", activation="activation_function"),
    head_count="fixed",
    tied=True,
    activation="relu",
)
PHI = Anatomy(
    root="model",
    blocks="model.layers",
    embedding="model.embed_tokens",
    final_norm=_layer("model.final_layernorm"),
    attention=Attention(SELF_ATTENTION, "separate", "self_attn.dense", _layer("input_layernorm")),
    mlp=Mlp("mlp.fc1", "mlp.fc2", _layer("input_layernorm")),
    parallel=True,
    activation="gelu_new",
)
PHI3 = replace(
    LLAMA,
    attention=replace(LLAMA.attention, inputs=("self_attn.qkv_proj",), layout="stacked"),
    mlp=replace(LLAMA.mlp, up="mlp.gate_up_proj", gate="mlp.gate_up_proj"),
    head_count="free",
)
ANATOMIES: dict[str, Anatomy] = {  # by model_type of config.json
    "llama": LLAMA,
    "mistral": replace(LLAMA, head_count="free"),
    "qwen2": WITH_LAYER_TYPES,
    "qwen3": WITH_LAYER_TYPES,
    "smollm3": replace(WITH_LAYER_TYPES, keys=Keys(per_layer=("layer_types", "no_rope_layers")), tied=True),
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA2,
    "phi": PHI,
    "phi3": PHI3,
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "opt": OPT,
    "bloom": BLOOM,
    **ENCODERS,
}

# Those that a graph for onnxruntime is written for, by model_type.
GRAPHS = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "smollm3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "gpt_neox",
    "gpt2",
    "opt",
)


def anatomy(config: Mapping[str, Any]) -> Anatomy:
    """The anatomy of the model that a config.json of a known family describes."""
    family = str(config["model_type"])
    if family in ENCODERS:
        return encoder_anatomy(config)
    found = ANATOMIES[family]
    if family == "gpt_neox" and config.get("use_parallel_residual") is False:
        return replace(found, parallel=False)
    if family == "bloom" and config.get("apply_residual_connection_post_layernorm"):
        return _without_norms(found)  # the residual stream reads the norms too
    if family == "opt" and config.get("do_layer_norm_before") is False:
        return replace(_without_norms(found), final_norm=None)  # they stand after the residual is added
    if family == "opt" and config.get("_remove_final_layer_norm"):
        return replace(found, final_norm=None)
    if family == "phi" and config.get("qk_layernorm"):
        return replace(found, head_count="fixed")  # its norms are as wide as hidden size / heads
    if family == "phi3" and _is_long(config):
        return replace(found, head_count="fixed")  # so are the factors of its long context
    return found


def _is_long(config: Mapping[str, Any]) -> bool:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return rope.get("rope_type", rope.get("type", "default")) != "default"


def _without_norms(found: Anatomy) -> Anatomy:
    return replace(found, attention=replace(found.attention, norm=None), mlp=replace(found.mlp, norm=None))
