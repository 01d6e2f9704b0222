"""SparseGPT: zeroing weights one input channel after the other, those still free making up for the loss.

Frantar & Alistarh 2023, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", arXiv:2301.00774:
section 3 for the solve, 3.4 for N:M, 3.5 for rounding what remains in the same pass. What remains is then mended by
conjugate gradients (solvers.least_squares), which the paper does not do; `mend: 0` is the paper's method.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.grids.affine import Affine
from compresslab.messages import Message
from compresslab.models.weights import WeightPlan
from compresslab.recipes.layerwise import Pruner, mending
from compresslab.recipes.method import Kind, Method
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext
    from compresslab.engine.steps.groups import Group


class PruneSparsegpt(Pruner):
    name: ClassVar[str] = "prune_sparsegpt"
    place: ClassVar[int] = 50
    title: ClassVar[str] = "Prune and compensate (SparseGPT)"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Sets weights to zero and lets the others make up for the loss."
    stage: ClassVar[str] = "Pruning and compensating"
    paper: ClassVar[str] = "Frantar & Alistarh 2023, arXiv:2301.00774"
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"sparsity": 0.37},
        {"n_of_m": "4:8", "joint_bits": 4, "group_size": 16},
    )

    mend: int = mending(6)
    joint_bits: Literal[0, 2, 3, 4, 5, 6, 7, 8] = setting(
        0,
        unit="bit",
        label="Round as well",
        plain="Store what remains in fewer bits in the same pass, so that each step makes up for the other.",
        help="Bits of the weights that remain, rounded in the same pass; 0 rounds nothing.",
        advanced=True,
    )
    group_size: int = setting(
        64,
        ge=0,
        le=8192,
        offered=(0, 32, 64, 128),
        unit="weights",
        label="Group size",
        plain="How many neighbouring weights share one scale. Smaller groups are more accurate and take a little "
        "more space.",
        help="Weights of a row that share one float16 scale when rounding as well; 0 is one scale per row.",
        advanced=True,
    )

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.ratios == "global":
            raise BadInput("sparsegpt.ratios")

    @property
    def grid(self) -> Affine | None:
        return Affine(self.joint_bits, self.group_size, True) if self.joint_bits else None

    def conflict(self, before: tuple[Method, ...]) -> Message | None:
        if any(step.kind == "quantize" or getattr(step, "joint_bits", 0) for step in before):
            return Message("sparsegpt.after_rounding")
        return None

    def foresee_weight(self, weight: WeightPlan) -> WeightPlan:
        return replace(super().foresee_weight(weight), grid=self.grid)

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.solvers.rounding import round_to_nearest
        from compresslab.engine.steps import pruning
        from compresslab.engine.steps.driver import solve_groups
        from compresslab.engine.steps.gptq import sparsegpt
        from compresslab.engine.steps.groups import SolvedGroup

        def solve(group: Group, own: PruneSparsegpt) -> SolvedGroup:
            return sparsegpt(
                group,
                sparsity=own.sparsity,
                pattern=own.pattern,
                grid=own.grid,
                dampening=own.dampening,
                refinements=own.mend,
            )

        def fall_back(group: Group, own: PruneSparsegpt) -> SolvedGroup:
            mask = group.each(lambda one: pruning.mask_of(pruning.magnitude(one), own, one.earlier))
            if own.grid is None:
                return SolvedGroup(mask=mask)
            return SolvedGroup(mask=mask, stored=round_to_nearest(group.weight.masked_fill(mask, 0), own.grid))

        shares = pruning.shares(model, self, context, pruning.magnitude_times_norm, inputs=True)
        chosen = {name: own for name, own in shares.items() if not own.idle or own.grid}
        solve_groups(model, chosen, context, solve, fall_back=fall_back)
