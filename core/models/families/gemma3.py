"""The text model of Gemma 3: Gemma 2 without caps, with norms of queries and keys."""

from compresslab.models.families.gemma2 import GEMMA2
from compresslab.models.family import Family, Graph

GEMMA3 = Family(
    model_type="gemma3_text",
    title="Gemma 3 (text)",
    anatomy=GEMMA2.anatomy,
    graph=Graph(),
    tiny={"head_dim": 8, "sliding_window": 16, "sliding_window_pattern": 2},
)
