"""Round-to-nearest quantization: every weight moves to the nearest point of an affine grid.

Grid and rounding as in Jacob et al. 2018, arXiv:1712.05877, section 2.1; per group as in GPTQ, arXiv:2210.17323.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.recipes.layerwise import GridQuantizer
from compresslab.recipes.method import Kind

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class QuantizeRtn(GridQuantizer):
    name: ClassVar[str] = "quantize_rtn"
    place: ClassVar[int] = 80
    title: ClassVar[str] = "Store weights in fewer bits"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds every weight to the nearest of a few values."
    paper: ClassVar[str] = "Jacob et al. 2018, arXiv:1712.05877"
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bits": 3, "group_size": 16},
        {"bits": 8, "group_size": 0},
        {"bits": 5, "group_size": 32, "symmetric": False, "embedding_bits": 4, "head_bits": 5},
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.solvers.rounding import round_to_nearest
        from compresslab.engine.steps.driver import round_each

        round_each(model, self, context, round_to_nearest)
