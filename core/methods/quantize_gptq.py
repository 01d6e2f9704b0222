"""GPTQ: rounding one input channel after the other, the channels still free making up for the error.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
arXiv:2210.17323, section 3. Groups keep their place whatever the order (static groups), so no index is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from compresslab.recipes.layerwise import GridQuantizer, keeping_strength, searching
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.inputs.calibration import InputStatistics
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class QuantizeGptq(GridQuantizer):
    name: ClassVar[str] = "quantize_gptq"
    place: ClassVar[int] = 100
    title: ClassVar[str] = "Round and make up for it (GPTQ)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds weight by weight and lets the others make up for the error."
    stage: ClassVar[str] = "Rounding and making up for it"
    paper: ClassVar[str] = "Frantar et al. 2022, arXiv:2210.17323"

    order: Literal["stored", "active"] = setting(
        "active",
        label="Order",
        plain="Begin with the inputs that are used most, or go from first to last.",
        help="active: channels by descending Hessian diagonal (act-order), groups staying in place. stored: as is.",
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
        help="Fraction of the mean Hessian diagonal that is added to it.",
        advanced=True,
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.solvers.optimal_brain import Target
        from compresslab.engine.solvers.rounding import round_to_nearest
        from compresslab.engine.steps import solving

        chosen = dict(model.chosen(self))

        def solve(names: Sequence[str], own: QuantizeGptq, statistics: InputStatistics) -> None:
            order = solving.order_of(statistics, active_first=own.order == "active")
            weight = statistics.aim(solving.stacked(model, names), own.dampening, order)
            fitted = solving.fitted(weight, own.linear_grid, statistics, searched=own.search)
            kept, dampening = own.keep_strength, own.dampening
            solving.run(
                model,
                names,
                weight,
                Target(fitted),
                statistics,
                context,
                dampening=dampening,
                order=order,
                refit=own.search,
                keep_strength=kept,
            )

        def instead(name: str, own: QuantizeGptq) -> None:
            model.quantize(name, round_to_nearest(model.weight(name), own.linear_grid))

        solving.solve_groups(model, chosen, context, solve, instead)
        solving.round_outside(model, chosen)
