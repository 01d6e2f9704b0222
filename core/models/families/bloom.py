"""BLOOM: ALiBi in the place of positions, q, k and v of one head after the other in one matrix."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp, Norm
from compresslab.models.family import Config, Family


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    reads_norms = config.get("apply_residual_connection_post_layernorm")  # the residual stream does, too
    return body.without_norms() if reads_norms else body


BLOOM = Family(
    model_type="bloom",
    title="BLOOM",
    anatomy=Anatomy(
        root="transformer",
        blocks="transformer.h",
        embedding="transformer.word_embeddings",
        final_norm=Norm("transformer.ln_f", "layer"),
        attention=Attention(
            ("self_attention.query_key_value",), "interleaved", "self_attention.dense", Norm("input_layernorm", "layer")
        ),
        mlp=Mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", Norm("post_attention_layernorm", "layer")),
        keys=replace(
            BY_HIDDEN_SIZE, depth="n_layer", heads="n_head", mlp_width=None, context=("seq_length",), activation=None
        ),
        head_count="fixed",
        tied=True,
        activation="gelu_pytorch_tanh",
        context=2048,  # ALiBi has no end; this is the length that BLOOM was trained with
    ),
    adapted=_adapted,
)
