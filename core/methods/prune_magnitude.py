"""Magnitude pruning: the weights nearest to zero become zero.

Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks", section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.recipes.layerwise import Pruner
from compresslab.recipes.method import Kind

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class PruneMagnitude(Pruner):
    name: ClassVar[str] = "prune_magnitude"
    place: ClassVar[int] = 30
    title: ClassVar[str] = "Prune the smallest weights"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets the weights nearest to zero to zero."
    paper: ClassVar[str] = "Han et al. 2015, arXiv:1506.02626"
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"sparsity": 0.37},
        {"sparsity": 0.5, "ratios": "global"},
        {"sparsity": 0.03},
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.pruning import magnitude, prune_by_score

        prune_by_score(model, self, context, magnitude, inputs=False)
