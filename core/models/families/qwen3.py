"""Qwen3: Qwen2 with norms of queries and keys in the place of biases."""

from compresslab.models.families.llama import NUMBERS
from compresslab.models.families.qwen2 import QWEN2
from compresslab.models.family import Family, Gguf, Graph

QWEN3 = Family(
    model_type="qwen3",
    title="Qwen3",
    anatomy=QWEN2.anatomy,
    gguf=Gguf("qwen3", NUMBERS, in_block={"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}),
    graph=Graph(),
    tiny={"head_dim": 16, "tie_word_embeddings": False},
)
