"""Llama, and what is built like it."""

from compresslab.models.anatomy import Anatomy, Attention, Mlp, Norm
from compresslab.models.family import Family, Gguf, Graph, Number

NUMBERS = (Number("vocab_size", "vocab_size"), Number("attention.layer_norm_rms_epsilon", "rms_norm_eps", float))
LLAMA = Family(
    model_type="llama",
    title="Llama",
    also=("SmolLM", "TinyLlama"),
    anatomy=Anatomy(
        root="model",
        blocks="model.layers",
        embedding="model.embed_tokens",
        final_norm=Norm("model.norm", "rms"),
        attention=Attention(
            ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "separate",
            "self_attn.o_proj",
            Norm("input_layernorm", "rms"),
        ),
        mlp=Mlp("mlp.up_proj", "mlp.down_proj", Norm("post_attention_layernorm", "rms"), gate="mlp.gate_proj"),
        head_count="divisors",
    ),
    gguf=Gguf("llama", NUMBERS, by_pairs=True, biases={"attention_bias": "attn_q", "mlp_bias": "ffn_up"}),
    graph=Graph(),
    tiny={"head_dim": 8, "tie_word_embeddings": True},
)
