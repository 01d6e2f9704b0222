"""Magnitude pruning: the weights nearest to zero become zero.

Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks", section 3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from core.methods import Kind, Method
from core.settings import setting
from core.weights import WeightPlan

if TYPE_CHECKING:
    from core.engine.context import StepContext
    from core.engine.model import CompressedModel


class PruneMagnitude(Method):
    name: ClassVar[str] = "prune_magnitude"
    title: ClassVar[str] = "Prune the smallest weights"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets the weights nearest to zero to zero."
    paper: ClassVar[str] = "Han et al. 2015, arXiv:1506.02626"

    sparsity: float = setting(
        0.3,
        ge=0.0,
        le=0.95,
        step=0.05,
        label="Pruning rate",
        plain="How much of the network is switched off. A little is hardly felt; too much and it forgets.",
        help="Fraction of the weights in the linear layers of all blocks that are set to zero.",
    )
    scope: Literal["layer", "global"] = setting(
        "layer",
        label="Counted",
        plain="Take the same share from every layer, or let the whole model compete.",
        help="layer: each weight matrix reaches the sparsity by itself. global: one threshold for all of them.",
        advanced=True,
    )

    def foresee(self, weights: tuple[WeightPlan, ...]) -> tuple[WeightPlan, ...]:
        return tuple(self._pruned(w) if w.role == "linear" and self.sparsity > 0 else w for w in weights)

    def _pruned(self, weight: WeightPlan) -> WeightPlan:
        kept = weight.count - round(self.sparsity * weight.count)
        before = weight.count if weight.nonzero is None else weight.nonzero
        exact = weight.exact and self.scope == "layer"
        return replace(weight, nonzero=min(kept, before), exact=exact)

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from core.engine.masks import smallest, smallest_overall

        names = model.linear_names()
        if self.sparsity == 0:
            return
        if self.scope == "global":
            masks = smallest_overall({name: model.weight(name) for name in names}, self.sparsity, model.masks)
            for name in context.each(names):
                model.prune(name, masks[name])
            return
        for name in context.each(names):
            model.prune(name, smallest(model.weight(name), self.sparsity, model.masks.get(name)))
