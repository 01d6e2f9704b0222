"""GPT-2: learned positions, and matrices that lie [in, out] in the checkpoint."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp, Norm
from compresslab.models.family import Family, Gguf, Graph, Number, Positions

POSITIONS = "transformer.wpe"
GPT2 = Family(
    model_type="gpt2",
    title="GPT-2",
    anatomy=Anatomy(
        root="transformer",
        blocks="transformer.h",
        embedding="transformer.wte",
        final_norm=Norm("transformer.ln_f", "layer"),
        attention=Attention(("attn.c_attn",), "stacked", "attn.c_proj", Norm("ln_1", "layer")),
        mlp=Mlp("mlp.c_fc", "mlp.c_proj", Norm("ln_2", "layer")),
        keys=replace(
            BY_HIDDEN_SIZE,
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
    ),
    gguf=Gguf(
        "gpt2",
        (Number("attention.layer_norm_epsilon", "layer_norm_epsilon", float),),
        around={"position_embd": POSITIONS},
        rotary=False,
        lacks={
            "scale_attn_by_inverse_layer_idx": "gguf.attention_layer",
            "add_cross_attention": "gguf.cross_attention",
        },
        needs={"scale_attn_weights": "gguf.attention_unscaled"},
    ),
    graph=Graph(Positions(POSITIONS)),
    tiny={"n_inner": None},  # 4 times the hidden size
)
