"""SmolLM3: a Llama in which every fourth block turns nothing."""

from dataclasses import replace

from compresslab.models.anatomy import Keys
from compresslab.models.families.llama import LLAMA, NUMBERS
from compresslab.models.family import Family, Gguf, Graph

SMOLLM3 = Family(
    model_type="smollm3",
    title="SmolLM3",
    anatomy=replace(
        LLAMA.anatomy, keys=Keys(per_layer=("layer_types", "no_rope_layers")), head_count="free", tied=True
    ),
    gguf=Gguf("smollm3", NUMBERS, by_pairs=True, unrotated_every=4),
    graph=Graph(),
    tiny={"no_rope_layer_interval": 2},
)
