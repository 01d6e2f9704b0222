"""Logit distillation: the student learns to give the teacher's probabilities for the next token.

Hinton et al. 2015, arXiv:1503.02531: loss = kd_weight * T^2 * KL(teacher || student) + (1 - kd_weight) * NLL.
A shallower student starts from evenly spaced layers of the teacher, as in DistilBERT, arXiv:1910.01108, section 3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from core.methods import Kind, Method
from core.model_facts import ModelFacts
from core.settings import setting
from core.weights import WeightPlan

if TYPE_CHECKING:
    from core.engine.context import StepContext
    from core.engine.model import CompressedModel


class DistillLogits(Method):
    name: ClassVar[str] = "distill_logits"
    title: ClassVar[str] = "Let it learn from the original"
    kind: ClassVar[Kind] = "distill"
    summary: ClassVar[str] = "Trains the smaller model for a while to answer as the baseline does."
    paper: ClassVar[str] = "Hinton et al. 2015, arXiv:1503.02531"
    renews: ClassVar[bool] = True

    steps: int = setting(
        100,
        ge=0,
        le=5000,
        step=10,
        unit="steps",
        label="Training steps",
        plain="How long the small model practises. Longer helps more and takes more time.",
        help="Optimizer steps (AdamW, linear warm-up over a tenth, then cosine to zero).",
    )
    temperature: float = setting(
        2.0,
        ge=0.5,
        le=10.0,
        step=0.5,
        label="Temperature",
        plain="How much the teacher's second thoughts count beside its first choice.",
        help="Both distributions are softened by it; the loss is scaled by its square.",
    )
    kd_weight: float = setting(
        0.9,
        ge=0.0,
        le=1.0,
        step=0.05,
        label="Teacher's share",
        plain="Learn from the teacher's opinion (1) or from the text itself (0).",
        help="Weight of the distillation loss against the next-token loss on the calibration text.",
    )
    learning_rate: float = setting(
        5e-4,
        ge=1e-6,
        le=1e-2,
        label="Learning rate",
        plain="How big each correction is.",
        help="Peak learning rate of AdamW, no weight decay, gradients clipped to norm 1.",
        advanced=True,
    )
    batch: int = setting(
        8,
        ge=1,
        le=64,
        step=1,
        unit="texts",
        label="Batch",
        plain="How many pieces of text are read before each correction.",
        help="Sequences per optimizer step, each of the recipe's sequence_length.",
        advanced=True,
    )
    student_layers: int = setting(
        0,
        ge=0,
        le=200,
        step=1,
        unit="layers",
        label="Layers to keep",
        plain="Build the student from fewer of the model's floors. 0 keeps them all.",
        help="Decoder blocks of the student, taken evenly spaced from first to last; 0 keeps every block.",
    )

    def conflict(self, before: tuple[Method, ...]) -> str | None:
        if any(step.kind == "quantize" for step in before):
            return (
                "distill_logits stands after a quantize step and would move its weights off their grid; put it before."
            )
        return None

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        depth = 1 + max((w.layer for w in weights if w.layer is not None), default=-1)
        if not 0 < self.student_layers < depth:
            return weights
        place = {old: new for new, old in enumerate(kept_layers(depth, self.student_layers))}
        kept = [w for w in weights if w.layer is None or w.layer in place]
        return tuple(w if w.layer is None else _moved(w, place[w.layer]) for w in kept)

    def cost(self, sequence_length: int) -> float:
        return 1_000.0 + 4.0 * self.steps * self.batch * sequence_length  # teacher, student and twice that backward

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from core.engine.distiller import distill

        if 0 < self.student_layers < model.depth:
            model.keep_layers(kept_layers(model.depth, self.student_layers))
        if self.steps:
            distill(model, self, context)


def kept_layers(depth: int, keep: int) -> list[int]:
    """Evenly spaced block indices, first and last among them."""
    if keep == 1:
        return [0]
    return [round(i * (depth - 1) / (keep - 1)) for i in range(keep)]


def _moved(weight: WeightPlan, layer: int) -> WeightPlan:
    name = weight.name.replace(f".{weight.layer}.", f".{layer}.", 1)
    return replace(weight, name=name, layer=layer)
