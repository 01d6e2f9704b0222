"""GPT-NeoX: attention and MLP side by side, q, k and v of one head after the other in one matrix."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp, Norm
from compresslab.models.family import Config, Family, Graph


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    return replace(body, parallel=False) if config.get("use_parallel_residual") is False else body


GPT_NEOX = Family(
    model_type="gpt_neox",
    title="GPT-NeoX",
    also=("Pythia",),
    anatomy=Anatomy(
        root="gpt_neox",
        blocks="gpt_neox.layers",
        embedding="gpt_neox.embed_in",
        final_norm=Norm("gpt_neox.final_layer_norm", "layer"),
        attention=Attention(
            ("attention.query_key_value",), "interleaved", "attention.dense", Norm("input_layernorm", "layer")
        ),
        mlp=Mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", Norm("post_attention_layernorm", "layer")),
        keys=BY_HIDDEN_SIZE,
        parallel=True,
        head_count="fixed",
        activation="gelu",
        renamed=(("embed_out", "lm_head"),),
    ),
    adapted=_adapted,
    graph=Graph(),
    tiny_forms={"sequential": {"use_parallel_residual": False}},
)
