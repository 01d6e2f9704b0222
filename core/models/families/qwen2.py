"""Qwen2: a Llama that says of every layer what it sees, with biases on queries, keys and values."""

from dataclasses import replace

from compresslab.models.anatomy import Keys
from compresslab.models.families.llama import LLAMA, NUMBERS
from compresslab.models.family import Family, Gguf, Graph

QWEN2 = Family(
    model_type="qwen2",
    title="Qwen2",
    anatomy=replace(LLAMA.anatomy, keys=Keys(per_layer=("layer_types",)), head_count="free"),
    gguf=Gguf("qwen2", NUMBERS),
    graph=Graph(),
    tiny={"tie_word_embeddings": True},
)
