"""OPT: learned positions that begin at 2; the 350M model normalises after the residual is added."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp, Norm
from compresslab.models.families.llama import LLAMA
from compresslab.models.family import Config, Family, Graph, Positions


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    if config.get("do_layer_norm_before") is False:
        return replace(body.without_norms(), final_norm=None)  # they stand after the residual is added
    return replace(body, final_norm=None) if config.get("_remove_final_layer_norm") else body


OPT = Family(
    model_type="opt",
    title="OPT",
    anatomy=Anatomy(
        root="model",
        blocks="model.decoder.layers",
        embedding="model.decoder.embed_tokens",
        final_norm=Norm("model.decoder.final_layer_norm", "layer"),
        attention=Attention(
            LLAMA.anatomy.attention.inputs, "separate", "self_attn.out_proj", Norm("self_attn_layer_norm", "layer")
        ),
        mlp=Mlp("fc1", "fc2", Norm("final_layer_norm", "layer")),
        keys=replace(BY_HIDDEN_SIZE, mlp_width="ffn_dim", activation="activation_function"),
        head_count="fixed",
        tied=True,
        activation="relu",
    ),
    adapted=_adapted,
    graph=Graph(Positions("model.decoder.embed_positions", offset=2)),
    tiny={"init_std": 0.1},
    tiny_forms={"narrow": {"word_embed_proj_dim": 16, "do_layer_norm_before": False}},  # as OPT-350M
)
