"""Phi-3: a Llama that keeps q, k and v in one matrix, and gate and up in another."""

from dataclasses import replace

from compresslab.models.anatomy import Anatomy
from compresslab.models.families.llama import LLAMA, NUMBERS
from compresslab.models.family import Config, Family, Gguf, Graph


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return replace(body, head_count="fixed")  # the factors of its long context are as wide as hidden size / heads
    return body


PHI3 = Family(
    model_type="phi3",
    title="Phi-3",
    anatomy=replace(
        LLAMA.anatomy,
        attention=replace(LLAMA.anatomy.attention, inputs=("self_attn.qkv_proj",), layout="stacked"),
        mlp=replace(LLAMA.anatomy.mlp, up="mlp.gate_up_proj", gate="mlp.gate_up_proj"),
        head_count="free",
    ),
    adapted=_adapted,
    gguf=Gguf("phi3", NUMBERS),
    graph=Graph(),
)
