"""Gemma 2: Gemma with norms on both sides, caps on scores and logits, and a window in every other layer."""

from dataclasses import replace

from compresslab.models.anatomy import Keys, Norm
from compresslab.models.families.gemma import GEMMA
from compresslab.models.families.llama import NUMBERS
from compresslab.models.family import FULL, SLIDING, Family, Gguf, Graph, Number

# llama.cpp caps with 50 and 30 where a file does not say, and has no way to say never: cap * tanh(x / cap) is x to a
# part in ten million for any logit there is.
UNCAPPED = 1e5
GEMMA2 = Family(
    model_type="gemma2",
    title="Gemma 2",
    anatomy=replace(
        GEMMA.anatomy,
        attention=replace(GEMMA.anatomy.attention, after=Norm("post_attention_layernorm", "rms_plus_one")),
        mlp=replace(
            GEMMA.anatomy.mlp,
            norm=Norm("pre_feedforward_layernorm", "rms_plus_one"),
            after=Norm("post_feedforward_layernorm", "rms_plus_one"),
        ),
        keys=Keys(activation="hidden_activation", per_layer=("layer_types",)),
        head_count="divisors",
    ),
    gguf=Gguf(
        "gemma2",
        (
            *NUMBERS,
            Number("attn_logit_softcapping", "attn_logit_softcapping", float, UNCAPPED),
            Number("final_logit_softcapping", "final_logit_softcapping", float, UNCAPPED),
            Number("attention.sliding_window", "sliding_window"),
        ),
        attention_scale="query_pre_attn_scalar",
        head="shared",
        scaled_by_width=46,
        layer_types=(SLIDING, FULL),
    ),
    graph=Graph(),
    tiny={"head_dim": 8, "sliding_window": 16, "final_logit_softcapping": 2.0},
)
