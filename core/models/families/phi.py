"""Phi and Phi-2: attention and MLP side by side behind one norm, half of each head turned."""

from dataclasses import replace

from compresslab.models.anatomy import Anatomy, Attention, Mlp, Norm
from compresslab.models.families.llama import LLAMA
from compresslab.models.family import Config, Family, Gguf, Graph, Number


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    if config.get("qk_layernorm"):
        return replace(body, head_count="fixed")  # its norms are as wide as hidden size / heads
    return body


PHI = Family(
    model_type="phi",
    title="Phi",
    also=("Phi-1.5", "Phi-2"),
    anatomy=Anatomy(
        root="model",
        blocks="model.layers",
        embedding="model.embed_tokens",
        final_norm=Norm("model.final_layernorm", "layer"),
        attention=Attention(
            LLAMA.anatomy.attention.inputs, "separate", "self_attn.dense", Norm("input_layernorm", "layer")
        ),
        mlp=Mlp("mlp.fc1", "mlp.fc2", Norm("input_layernorm", "layer")),
        parallel=True,
        activation="gelu_new",
    ),
    adapted=_adapted,
    gguf=Gguf(
        "phi2",
        (Number("vocab_size", "vocab_size"), Number("attention.layer_norm_epsilon", "layer_norm_eps", float)),
        lacks={"qk_layernorm": "gguf.norms"},
        head="own",
    ),
    graph=Graph(lacks={"qk_layernorm": "runtime.layer_norms"}),
)
