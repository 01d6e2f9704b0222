"""Wanda: a weight counts by its magnitude times the norm of the input that it meets, compared within its row.

Sun et al. 2023, "A Simple and Effective Pruning Approach for Large Language Models", arXiv:2306.11695, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.recipes.layerwise import Pruner
from compresslab.recipes.method import Kind

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class PruneWanda(Pruner):
    name: ClassVar[str] = "prune_wanda"
    place: ClassVar[int] = 40
    title: ClassVar[str] = "Prune what matters least (Wanda)"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets the weights that matter least on real text to zero."
    paper: ClassVar[str] = "Sun et al. 2023, arXiv:2306.11695"
    by_row: ClassVar[bool] = True
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"sparsity": 0.37},
        {"n_of_m": "2:4", "mend": 5},
        {"sparsity": 0.5, "ratios": "outliers"},
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.pruning import magnitude_times_norm, prune_by_score

        prune_by_score(model, self, context, magnitude_times_norm, inputs=True)
