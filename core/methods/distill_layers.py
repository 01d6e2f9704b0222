"""Layer distillation: the student also learns to think as the teacher does, layer by layer.

Beside the loss of `distill_logits`: the squared distance of hidden states, relative to the teacher's (FitNets, Romero
et al. 2014, arXiv:1412.6550; TinyBERT, arXiv:1909.10351, section 3.1), and that of attention maps, if asked for (same).
Layer i of n in the student answers to layer ceil((i + 1) * depth / n) - 1 of the teacher, the last one to the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.distilling import Distiller
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext


class DistillLayers(Distiller):
    name: ClassVar[str] = "distill_layers"
    place: ClassVar[int] = 70
    title: ClassVar[str] = "Learn from the baseline's layers"
    summary: ClassVar[str] = "Trains the smaller model to match the baseline's answers, and its layers as well."
    phrase: ClassVar[str] = "{steps} steps distilled by layers"
    stage: ClassVar[str] = "Learning from the teacher's layers"
    paper: ClassVar[str] = "Jiao et al. 2019, arXiv:1909.10351"
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"steps": 2, "batch": 2},
        {"steps": 2, "batch": 2, "student_layers": 2, "attention_share": 1.0},
    )

    hidden_share: float = setting(
        1.0,
        ge=0.0,
        le=10.0,
        step=0.1,
        label="Weight of the layers",
        plain="How closely each layer has to match the baseline's.",
        help="Weight of the mean relative squared distance of hidden states after each block.",
    )
    attention_share: float = setting(
        0.0,
        ge=0.0,
        le=10.0,
        step=0.1,
        label="Weight of the attention",
        plain="How closely it has to look at the same words as the baseline. Slower.",
        help="Weight of the squared distance of attention maps, averaged over heads; needs the eager attention "
        "implementation.",
        advanced=True,
    )

    @property
    def hidden_weight(self) -> float:
        return self.hidden_share

    @property
    def attention_weight(self) -> float:
        return self.attention_share

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.distiller import distill

        distill(model, self, context)
