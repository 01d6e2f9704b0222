"""Mistral: a Llama with as many heads as one likes. llama.cpp knows it as a Llama."""

from dataclasses import replace

from compresslab.models.families.llama import LLAMA
from compresslab.models.family import Family

MISTRAL = Family(
    model_type="mistral",
    title="Mistral",
    anatomy=replace(LLAMA.anatomy, head_count="free"),
    gguf=LLAMA.gguf,
    graph=LLAMA.graph,
    tiny={"head_dim": 8, "tie_word_embeddings": False},
)
