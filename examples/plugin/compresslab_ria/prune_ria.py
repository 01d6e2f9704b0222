"""Relative importance and activations: a weight counts by its share of its row and of its column.

Zhang et al. 2024, "Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models" (ICLR), section
3.1: (|W_ij| / sum_i |W_ij| + |W_ij| / sum_j |W_ij|) * norm(x_j)^a, so that no channel is lost as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from compresslab.recipes.layerwise import Pruner
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext
    from compresslab.engine.steps.groups import Group
    from torch import Tensor


class PruneRia(Pruner):
    name: ClassVar[str] = "prune_ria"
    title: ClassVar[str] = "Prune by relative importance (RIA)"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets weights to zero that matter little beside the others of their row and column."
    phrase: ClassVar[str] = "{sparsity:.0%} pruned by share"
    stage: ClassVar[str] = "Pruning by relative importance"
    paper: ClassVar[str] = "Zhang et al. 2024, ICLR"

    exponent: float = setting(
        0.5,
        ge=0.0,
        le=1.0,
        step=0.1,
        label="Weight of the inputs",
        plain="How much it counts that an input is strong. 0 looks at the weights alone.",
        help="The power a of the norm of each input channel.",
        advanced=True,
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.pruning import prune_by_score

        prune_by_score(model, self, context, self._score, inputs=True)

    def _score(self, group: Group) -> Tensor:
        weight = group.weight.abs()  # [rows, d]
        shares = weight / weight.sum(0, keepdim=True).clamp(min=1e-12)
        shares += weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
        return shares * group.statistics.norms**self.exponent
