"""AWQ: channels that see strong inputs are scaled up before rounding, so that their weights lose less.

Lin et al. 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", arXiv:2306.00978,
section 3.2: s = (strength of the input)^a, a searched for. The layer's error is tr(D H D^T), from the Hessian that is
there already, so that no activations are needed; the scales go into what comes before (steps.folding).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from compresslab.models.anatomy import Task
from compresslab.recipes.layerwise import GridQuantizer, keeping_strength, searching
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.inputs.calibration import InputStatistics
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class QuantizeAwq(GridQuantizer):
    name: ClassVar[str] = "quantize_awq"
    place: ClassVar[int] = 110
    title: ClassVar[str] = "Round with care for what is used (AWQ)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds, with a finer hand where the model listens most."
    stage: ClassVar[str] = "Rounding with care for what is used"
    paper: ClassVar[str] = "Lin et al. 2023, arXiv:2306.00978"
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification")
    renews: ClassVar[bool] = True  # inputs are scaled afterwards, and the weights that read them the other way

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
        plain="How cautious the making up is. More is safer where there is little text.",
        help="Fraction of the mean Hessian diagonal that is added to it; for rounding gptq or sequential statistics.",
        advanced=True,
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.solvers.rounding import round_to_nearest
        from compresslab.engine.steps import folding, scaling, solving

        chosen = dict(model.chosen(self))
        folds = folding.by_reader(model, chosen)
        folding.tell(model, folds, chosen, context.job)

        def solve(names: Sequence[str], own: QuantizeAwq, statistics: InputStatistics) -> None:
            fold = folding.of_group(folds, names)
            scaling.quantize_scaled(
                model,
                names,
                own.linear_grid,
                statistics,
                fold,
                context,
                dampening=own.dampening,
                solved=own.rounding == "gptq",
                searched=own.search,
                keep_strength=own.keep_strength,
            )

        def instead(name: str, own: QuantizeAwq) -> None:
            model.quantize(name, round_to_nearest(model.weight(name), own.linear_grid))

        def beside(names: Sequence[str]) -> list[str]:
            fold = folding.of_group(folds, names)
            return [] if fold is None else fold.tensors(model)

        solving.solve_groups(model, chosen, context, solve, instead, beside)
        solving.round_outside(model, chosen)
