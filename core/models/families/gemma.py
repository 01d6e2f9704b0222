"""Gemma: a Llama whose norms multiply by 1 + weight, with a GELU."""

from dataclasses import replace

from compresslab.models.anatomy import Norm
from compresslab.models.families.llama import LLAMA, NUMBERS
from compresslab.models.family import Family, Gguf, Graph

GEMMA = Family(
    model_type="gemma",
    title="Gemma",
    anatomy=replace(
        LLAMA.anatomy,
        final_norm=Norm("model.norm", "rms_plus_one"),
        attention=replace(LLAMA.anatomy.attention, norm=Norm("input_layernorm", "rms_plus_one")),
        mlp=replace(LLAMA.anatomy.mlp, norm=Norm("post_attention_layernorm", "rms_plus_one")),
        head_count="free",
        tied=True,
        activation="gelu_pytorch_tanh",
    ),
    gguf=Gguf("gemma", NUMBERS, head="shared"),
    graph=Graph(),
    tiny={"head_dim": 16},
)
