"""The text model of Gemma 3: Gemma 2 without caps, with norms of queries and keys."""

from compresslab.models.families.gemma2 import GEMMA2
from compresslab.models.family import Family, Graph, Refusal

GEMMA3 = Family(
    model_type="gemma3_text",
    title="Gemma 3 (text)",
    anatomy=GEMMA2.anatomy,
    refuses=(Refusal("model.encoder", lambda config: bool(config.get("use_bidirectional_attention"))),),
    graph=Graph(),
    tiny={"head_dim": 8, "sliding_window": 16, "sliding_window_pattern": 2},
)
