"""AWQ: channels that see strong inputs are scaled up before rounding, so that their weights lose less.

Lin et al. 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", arXiv:2306.00978,
section 3.2: s = (strength of the input)^a, a searched for. The layer's error is tr(D H D^T), from the Hessian that is
there already, so that no activations are needed; the scales go into what comes before (steps.folding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.models.anatomy import Task
from compresslab.recipes.layerwise import GridQuantizer, keeping_strength, searching
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext
    from compresslab.engine.steps.groups import Group, SolvedGroup


class QuantizeAwq(GridQuantizer):
    name: ClassVar[str] = "quantize_awq"
    place: ClassVar[int] = 110
    title: ClassVar[str] = "Protect what is used most (AWQ)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds weights, more finely where they are used most."
    stage: ClassVar[str] = "Protecting what is used most"
    paper: ClassVar[str] = "Lin et al. 2023, arXiv:2306.00978"
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification")
    renews: ClassVar[bool] = True  # inputs are scaled afterwards, and the weights that read them the other way
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bits": 3, "group_size": 16, "search": False},
        {"bits": 4, "symmetric": False, "rounding": "gptq", "embedding_bits": 4},
    )

    rounding: Literal["nearest", "gptq"] = setting(
        "nearest",
        label="Rounding",
        plain="Round every weight by itself, or let the others make up for the error.",
        help="nearest: as in the paper. gptq: the GPTQ solve on the scaled weights and inputs.",
        advanced=True,
    )
    search: bool = searching()
    keep_strength: bool = keeping_strength()
    dampening: float = setting(
        0.01,
        ge=1e-4,
        le=1.0,
        label="Dampening",
        plain="How cautiously errors are compensated for. Higher is safer when there is little text.",
        help="Fraction of the mean Hessian diagonal that is added to the diagonal; used with rounding gptq or "
        "sequential statistics.",
        advanced=True,
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.driver import round_outside, rounded_to_nearest, solve_groups
        from compresslab.engine.steps.folding import Folds
        from compresslab.engine.steps.gptq import Rounding
        from compresslab.engine.steps.scaling import awq

        chosen = dict(model.chosen(self))
        folds = Folds(model, chosen)
        folds.tell(chosen, context.job)

        def solve(group: Group, own: QuantizeAwq) -> SolvedGroup:
            rounding = Rounding(
                own.linear_grid,
                own.dampening,
                searched=own.search,
                solved=own.rounding == "gptq",
                keep_strength=own.keep_strength,
            )
            return awq(group, rounding, folds.of_group(group.names), model)

        solve_groups(model, chosen, context, solve, fall_back=rounded_to_nearest, others=folds.tensors)
        round_outside(model, chosen)
