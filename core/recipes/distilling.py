"""What all ways of distilling have in common: who learns, from what text, how fast."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from compresslab.models.facts import ModelFacts
from compresslab.models.weights import WeightPlan
from compresslab.recipes.method import Kind, Method
from compresslab.settings import setting


class Distiller(Method):
    """The teacher is the baseline, the student the model as the steps before left it: zeros stay zeros, and rounded
    weights are trained through their rounding (straight-through, Bengio et al. 2013, arXiv:1308.3432)."""

    kind: ClassVar[Kind] = "distill"
    phrase: ClassVar[str] = "{steps} steps distilled"
    stage: ClassVar[str] = "Learning from the teacher"
    renews: ClassVar[bool] = True

    steps: int = setting(
        100,
        ge=0,
        le=5000,
        step=10,
        unit="steps",
        label="Training steps",
        plain="How long the small model practises. Longer is better, and slower.",
        help="Optimizer steps of AdamW.",
    )
    temperature: float = setting(
        2.0,
        ge=0.5,
        le=10.0,
        step=0.5,
        label="Temperature",
        plain="How much the teacher's less likely choices count beside its first one.",
        help="Both distributions are softened by it; the loss is scaled by its square.",
    )
    kd_weight: float = setting(
        0.9,
        ge=0.0,
        le=1.0,
        step=0.05,
        label="Teacher's share",
        plain="Learn from the teacher (1) or from the text itself (0).",
        help="Weight of the distillation loss against the next-token loss on the text.",
    )
    learning_rate: float = setting(
        5e-4,
        ge=1e-6,
        le=1e-2,
        label="Learning rate",
        plain="How big each correction is.",
        help="Peak learning rate of AdamW, gradients clipped to norm 1.",
        advanced=True,
    )
    schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine",
        label="Schedule",
        plain="Whether corrections get smaller towards the end.",
        help="Learning rate after a linear warm-up over a tenth of the steps.",
        advanced=True,
    )
    weight_decay: float = setting(
        0.0,
        ge=0.0,
        le=0.5,
        step=0.01,
        label="Weight decay",
        plain="Pulls weights towards zero while it learns.",
        help="Decoupled weight decay of AdamW.",
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
    train: Literal["all", "low rank", "norms"] = setting(
        "all",
        label="What is trained",
        plain="Every weight, a small set of changes on top of them, or only the balance between layers.",
        help="all: every weight. low rank: an update of the given rank for each matrix, merged at the end (LoRA, "
        "arXiv:2106.09685). norms: norms and biases.",
        advanced=True,
    )
    rank: int = setting(
        8,
        ge=1,
        le=256,
        step=1,
        label="Rank",
        plain="How large that set of changes is.",
        help="Rank of the low-rank update.",
        advanced=True,
    )
    text: Literal["calibration", "teacher"] = setting(
        "calibration",
        label="Text",
        plain="Learn from the calibration text, or from text that the baseline writes itself.",
        help="calibration: the recipe's. teacher: as many sequences, sampled from the baseline with the recipe's seed.",
        advanced=True,
    )
    student_layers: int = setting(
        0,
        ge=0,
        le=200,
        step=1,
        unit="layers",
        label="Layers to keep",
        plain="Build the student from fewer of the model's layers. 0 keeps them all.",
        help="Decoder blocks of the student, taken evenly spaced from first to last; 0 keeps every block.",
    )

    @property
    def remembered(self) -> int:
        """The teacher's choices that are kept for each token; 0: it is asked in every step."""
        return 0

    @property
    def hidden_weight(self) -> float:
        """Weight of the loss between hidden states."""
        return 0.0

    @property
    def attention_weight(self) -> float:
        """Weight of the loss between attention maps."""
        return 0.0

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        depth = 1 + max((w.layer for w in weights if w.layer is not None), default=-1)
        if not 0 < self.student_layers < depth:
            return weights
        place = {old: new for new, old in enumerate(kept_layers(depth, self.student_layers))}
        kept = [w for w in weights if w.layer is None or w.layer in place]
        return tuple(w if w.layer is None else _moved(w, place[w.layer]) for w in kept)

    def cost(self, sequence_length: int) -> float:
        return 1_000.0 + 4.0 * self.steps * self.batch * sequence_length  # teacher, student and twice that backward


def kept_layers(depth: int, keep: int) -> list[int]:
    """Evenly spaced block indices, first and last among them."""
    if keep == 1:
        return [0]
    return [round(i * (depth - 1) / (keep - 1)) for i in range(keep)]


def _moved(weight: WeightPlan, layer: int) -> WeightPlan:
    name = weight.name.replace(f".{weight.layer}.", f".{layer}.", 1)
    return replace(weight, name=name, layer=layer)
