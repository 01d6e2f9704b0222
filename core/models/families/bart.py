"""BART: an encoder-decoder that normalises after the residual is added."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp
from compresslab.models.families.llama import LLAMA
from compresslab.models.family import Family

BART = Family(
    model_type="bart",
    title="BART",
    anatomy=Anatomy(
        root="model",
        blocks="model.encoder.layers",
        embedding="model.shared",
        final_norm=None,
        attention=Attention(LLAMA.anatomy.attention.inputs, "separate", "self_attn.out_proj", norm=None),
        mlp=Mlp("fc1", "fc2", norm=None),
        keys=replace(
            BY_HIDDEN_SIZE,
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
    ),
    tiny={
        "decoder_layers": 3,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 52,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": None,
        "init_std": 0.1,
    },
)
