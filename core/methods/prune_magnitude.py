"""Magnitude pruning: the weights nearest to zero become zero.

Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks", section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.methods import Kind
from core.methods.layerwise import Pruner

if TYPE_CHECKING:
    from core.engine.context import StepContext
    from core.engine.model import CompressedModel


class PruneMagnitude(Pruner):
    name: ClassVar[str] = "prune_magnitude"
    title: ClassVar[str] = "Prune the smallest weights"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets the weights nearest to zero to zero."
    paper: ClassVar[str] = "Han et al. 2015, arXiv:1506.02626"

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from core.engine.pruning import prune_by_score

        prune_by_score(model, self, context, inputs=False)
