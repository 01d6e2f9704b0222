"""HQQ: the grid is fitted to most of the weights, by half-quadratic splitting, without any text to calibrate on.

Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models", mobiusml.github.io/hqq_blog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.recipes.layerwise import GridQuantizer
from compresslab.recipes.method import Kind

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class QuantizeHqq(GridQuantizer):
    name: ClassVar[str] = "quantize_hqq"
    place: ClassVar[int] = 90
    title: ClassVar[str] = "Quantize with a fitted scale (HQQ)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Fits the scale to most of the weights, without reading any text."
    stage: ClassVar[str] = "Fitting the scales"
    paper: ClassVar[str] = "Badri & Shaji 2023, mobiusml.github.io/hqq_blog"
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bits": 3, "group_size": 16},
        {"bits": 2, "symmetric": False, "embedding_bits": 4},
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.solvers.half_quadratic import half_quadratic
        from compresslab.engine.steps.driver import round_each

        round_each(model, self, context, half_quadratic)
