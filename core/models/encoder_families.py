"""The encoder classifiers and encoder-decoders among the model families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from compresslab.errors import BadInput
from compresslab.models.anatomy import Anatomy, Attention, Keys, Mlp, Norm

FIXED = Keys(kv_heads=None, head_dim=None)  # heads times their size is the hidden size
BERT = Anatomy(
    root="bert",
    blocks="bert.encoder.layer",
    embedding="bert.embeddings.word_embeddings",
    final_norm=None,
    attention=Attention(
        ("attention.self.query", "attention.self.key", "attention.self.value"),
        "separate",
        "attention.output.dense",
        norm=None,  # norms stand after the residual is added
    ),
    mlp=Mlp("intermediate.dense", "output.dense", norm=None),
    keys=FIXED,
    head_count="fixed",
    activation="gelu",
    head="classifier",
    task="classification",
)
DISTILBERT = replace(
    BERT,
    root="distilbert",
    blocks="distilbert.transformer.layer",
    embedding="distilbert.embeddings.word_embeddings",
    attention=Attention(
        ("attention.q_lin", "attention.k_lin", "attention.v_lin"), "separate", "attention.out_lin", norm=None
    ),
    mlp=Mlp("ffn.lin1", "ffn.lin2", norm=None),
    keys=replace(
        FIXED, depth="n_layers", hidden="dim", heads="n_heads", mlp_width="hidden_dim", activation="activation"
    ),
    beside_head=("pre_classifier",),
)
ROBERTA = replace(
    BERT,
    root="roberta",
    blocks="roberta.encoder.layer",
    embedding="roberta.embeddings.word_embeddings",
    head="classifier.out_proj",
    beside_head=("classifier.dense",),
)
T5 = Anatomy(
    root="",
    blocks="encoder.block",
    embedding="shared",
    final_norm=None,
    attention=Attention(
        ("layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
        "separate",
        "layer.0.SelfAttention.o",
        norm=Norm("layer.0.layer_norm", "rms"),
    ),
    mlp=Mlp("layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wo", Norm("layer.1.layer_norm", "rms")),
    keys=replace(
        FIXED,
        depth="num_layers",
        hidden="d_model",
        heads="num_heads",
        mlp_width="d_ff",
        context=("n_positions",),
        activation=None,
    ),
    head_count="fixed",
    tied=True,
    activation="relu",
    context=512,  # relative positions have no end; this is the length that T5 was trained with
    task="seq2seq",
    decoder="decoder.block",
    copies=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    tables=("relative_attention_bias.weight",),
)
BART = Anatomy(
    root="model",
    blocks="model.encoder.layers",
    embedding="model.shared",
    final_norm=None,
    attention=Attention(
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "separate", "self_attn.out_proj", norm=None
    ),
    mlp=Mlp("fc1", "fc2", norm=None),
    keys=replace(
        FIXED,
        depth="encoder_layers",
        hidden="d_model",
        heads="encoder_attention_heads",
        mlp_width="encoder_ffn_dim",
        activation="activation_function",
    ),
    head_count="fixed",
    tied=True,
    activation="gelu",
    task="seq2seq",
    decoder="model.decoder.layers",
    beside_head=("final_logits_bias",),
    copies=("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"),
)
ENCODERS: dict[str, Anatomy] = {"bert": BERT, "distilbert": DISTILBERT, "roberta": ROBERTA, "t5": T5, "bart": BART}


def encoder_anatomy(config: Mapping[str, Any]) -> Anatomy:
    """The anatomy of the model that a config.json of one of these families describes. Raises BadInput."""
    family = str(config["model_type"])
    found = ENCODERS[family]
    if family == "t5" and int(config.get("num_decoder_layers") or 0) > int(config["num_layers"]):
        raise BadInput(
            "This T5 has more decoder than encoder blocks, which transformers can't generate with; "
            "take one that has as many of both."
        )
    if family == "roberta":
        return replace(found, unused_positions=int(config.get("pad_token_id") or 0) + 1)  # they begin after padding's
    if family == "t5" and str(config.get("feed_forward_proj", "")).startswith("gated"):
        mlp = replace(found.mlp, gate="layer.1.DenseReluDense.wi_0", up="layer.1.DenseReluDense.wi_1")
        return replace(found, mlp=mlp)
    return found
