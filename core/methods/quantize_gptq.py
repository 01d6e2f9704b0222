"""GPTQ: rounding one input channel after the other, the channels still free making up for the error.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
arXiv:2210.17323, section 3. Groups keep their place whatever the order (static groups), so no index is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.recipes.layerwise import GridQuantizer, keeping_strength, searching
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext
    from compresslab.engine.steps.groups import Group, SolvedGroup


class QuantizeGptq(GridQuantizer):
    name: ClassVar[str] = "quantize_gptq"
    place: ClassVar[int] = 100
    title: ClassVar[str] = "Round and compensate (GPTQ)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds weight by weight and lets the others make up for the error."
    stage: ClassVar[str] = "Rounding and compensating"
    paper: ClassVar[str] = "Frantar et al. 2022, arXiv:2210.17323"
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bits": 3, "group_size": 16},
        {"grid": "nf4", "group_size": 16},
        {"bits": 4, "group_size": 0, "symmetric": False, "order": "stored", "embedding_bits": 4},
    )

    order: Literal["stored", "active"] = setting(
        "active",
        label="Order",
        plain="Start with the inputs that are used most, or go from first to last.",
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
        plain="How cautiously errors are compensated for. Higher is safer when there is little text.",
        help="Fraction of the mean Hessian diagonal that is added to the diagonal.",
        advanced=True,
    )

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.driver import round_outside, rounded_to_nearest, solve_groups
        from compresslab.engine.steps.gptq import Rounding, gptq

        def solve(group: Group, own: QuantizeGptq) -> SolvedGroup:
            rounding = Rounding(
                own.linear_grid,
                own.dampening,
                searched=own.search,
                active_first=own.order == "active",
                refit=own.search,
                keep_strength=own.keep_strength,
            )
            return gptq(group, rounding)

        chosen = dict(model.chosen(self))
        solve_groups(model, chosen, context, solve, fall_back=rounded_to_nearest)
        round_outside(model, chosen)
