"""T5: an encoder-decoder with relative positions; later ones have a gate in the MLP."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp, Norm
from compresslab.models.family import Config, Family, Refusal


def _writes_too_deep(config: Config) -> bool:
    return 0 < int(config.get("num_layers") or 0) < int(config.get("num_decoder_layers") or 0)


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    if not str(config.get("feed_forward_proj", "")).startswith("gated"):
        return body
    mlp = replace(body.mlp, gate="layer.1.DenseReluDense.wi_0", up="layer.1.DenseReluDense.wi_1")
    return replace(body, mlp=mlp)


T5 = Family(
    model_type="t5",
    title="T5",
    anatomy=Anatomy(
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
            BY_HIDDEN_SIZE,
            depth="num_layers",
            hidden="d_model",
            heads="num_heads",
            mlp_width="d_ff",
            context=("n_positions",),
            activation=None,
        ),
        head_count="fixed",
        tied=True,
        always_tied=True,  # its config says something else by that word: whether the head's input is scaled
        activation="relu",
        context=512,  # relative positions have no end; this is the length that T5 was trained with
        task="seq2seq",
        decoder="decoder.block",
        copies=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
        tables=("relative_attention_bias.weight",),
    ),
    refuses=(Refusal("model.t5_decoder", _writes_too_deep),),
    adapted=_adapted,
    tiny={"d_kv": 8, "decoder_start_token_id": 0},
    tiny_forms={"gated": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}},
)
