"""SmoothQuant: what is hard to round moves from the activations to the weights, then both are rounded.

Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models",
arXiv:2211.10438, section 4: s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), inputs divided and weights multiplied by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.models.anatomy import Task
from compresslab.models.weights import WeightPlan
from compresslab.recipes.layerwise import Quantizer
from compresslab.recipes.method import Kind
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext
    from compresslab.engine.steps.groups import Group, SolvedGroup


class QuantizeSmooth(Quantizer):
    name: ClassVar[str] = "quantize_smooth"
    place: ClassVar[int] = 120
    title: ClassVar[str] = "Quantize weights and activations (SmoothQuant)"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds the numbers that flow through the model as well, so that chips can multiply them."
    phrase: ClassVar[str] = "{bits} bit, {activation_bits} bit activations"
    stage: ClassVar[str] = "Quantizing weights and activations"
    paper: ClassVar[str] = "Xiao et al. 2022, arXiv:2211.10438"
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification")
    renews: ClassVar[bool] = True  # inputs are scaled afterwards, and the weights that read them the other way
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"bits": 6, "activation_bits": 5, "alpha": 0.8, "head_bits": 8},
    )

    bits: int = setting(
        8,
        ge=4,
        le=8,
        step=1,
        unit="bit",
        label="Bit width",
        plain="How finely each number is stored. Fewer bits are smaller and coarser.",
        help="Bits per weight code; scales (and zero points) come on top.",
    )
    group_size: int = setting(
        0,
        ge=0,
        le=8192,
        offered=(0, 32, 64, 128),
        unit="weights",
        label="Group size",
        plain="How many neighbouring weights share one scale. Smaller groups are more accurate and take a little "
        "more space.",
        help="0 is one float16 scale per row, which is what integer matmuls take.",
        advanced=True,
    )
    activation_bits: int = setting(
        8,
        ge=4,
        le=8,
        step=1,
        unit="bit",
        label="Activation bits",
        plain="How finely the numbers that pass from layer to layer are stored.",
        help="Bits of the inputs of the matrices, symmetric, one scale per token taken as it comes (dynamic).",
        advanced=True,
    )
    alpha: float = setting(
        0.5,
        ge=0.0,
        le=1.0,
        step=0.05,
        label="Balance",
        plain="How much of the difficulty is moved from the activations to the weights.",
        help="Migration strength: s = max|X|^alpha / max|W|^(1 - alpha) per input channel.",
        advanced=True,
    )

    def foresee_weight(self, weight: WeightPlan) -> WeightPlan:
        bits = self.activation_bits if weight.role == "linear" else None
        return replace(super().foresee_weight(weight), activation_bits=bits)

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.driver import round_outside, solve_groups
        from compresslab.engine.steps.folding import Folds
        from compresslab.engine.steps.scaling import smoothquant

        chosen = dict(model.chosen(self))
        folds = Folds(model, chosen)
        folds.tell(chosen, context.job)

        def solve(group: Group, own: QuantizeSmooth) -> SolvedGroup:
            return smoothquant(group, own.linear_grid, own.alpha, folds.of_group(group.names), model)

        solve_groups(
            model,
            chosen,
            context,
            solve,
            needs="norms",
            others=folds.tensors,
            input_bits=lambda own: own.activation_bits,
        )
        round_outside(model, chosen)
