"""Logit distillation: the student learns to give the teacher's probabilities for the next token.

Hinton et al. 2015, arXiv:1503.02531: loss = kd_weight * T^2 * KL(teacher || student) + (1 - kd_weight) * NLL.
A shallower student starts from evenly spaced layers of the teacher, as in DistilBERT, arXiv:1910.01108, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.distilling import Distiller
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class DistillLogits(Distiller):
    name: ClassVar[str] = "distill_logits"
    place: ClassVar[int] = 60
    title: ClassVar[str] = "Learn from the baseline's answers"
    summary: ClassVar[str] = "Trains the smaller model for a while to answer as the baseline does."
    paper: ClassVar[str] = "Hinton et al. 2015, arXiv:1503.02531"
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"steps": 3, "batch": 2},
        {"steps": 2, "batch": 2, "student_layers": 2},
        {"steps": 2, "batch": 2, "train": "low rank", "top_k": 0},
    )

    top_k: int = setting(
        64,
        ge=0,
        le=4096,
        offered=(0, 16, 64, 256),
        unit="tokens",
        label="Choices remembered",
        plain="How many of the teacher's choices are kept for each word. Fewer need less memory; 0 keeps none.",
        help="The teacher's most likely tokens are cached with their probabilities, all others as one; 0 uses every "
        "token and computes them anew in each step.",
        advanced=True,
    )

    @property
    def remembered(self) -> int:
        return self.top_k

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.distiller import distill

        distill(model, self, context)
