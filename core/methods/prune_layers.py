"""Structured pruning of depth: whole decoder blocks go.

- block influence: 1 - mean cosine of a block's input and output over tokens (ShortGPT, arXiv:2403.03853, section 2);
  the blocks that turn their input least go together.
- measured loss: the loss on calibration text with a block left out; the block missed least goes, then the others are
  measured again without it (SLEB, arXiv:2402.09025).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.models.anatomy import Task
from compresslab.models.facts import ModelFacts
from compresslab.models.narrowing import first_layers
from compresslab.models.weights import WeightPlan
from compresslab.recipes.method import Kind, Method
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext

SAMPLES = 32  # sequences that a measured loss is taken on


class PruneLayers(Method):
    name: ClassVar[str] = "prune_layers"
    place: ClassVar[int] = 10
    title: ClassVar[str] = "Make it shallower"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Removes whole layers, those that matter least."
    phrase: ClassVar[str] = "{layers} of its layers removed"
    stage: ClassVar[str] = "Removing layers"
    paper: ClassVar[str] = "ShortGPT, arXiv:2403.03853; SLEB, arXiv:2402.09025"
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    renews: ClassVar[bool] = True
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"layers": 1},
        {"layers": 2, "importance": "block influence"},
    )

    layers: int = setting(
        1,
        ge=0,
        le=200,
        step=1,
        unit="layers",
        label="Layers removed",
        plain="How many layers are removed. Each one makes the model smaller and faster, and costs quality.",
        help="Decoder blocks that are removed; the others keep their order.",
    )
    importance: Literal["block influence", "measured loss"] = setting(
        "measured loss",
        label="Ranked by",
        plain="How it finds the layers that matter least: by how little they change, or by trying.",
        help="block influence: one pass, 1 - cosine of a block's input and output. measured loss: the loss on "
        f"{SAMPLES} calibration samples without the block, measured again after every removal.",
        advanced=True,
    )

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        depth = len({w.layer for w in weights} - {None})
        return first_layers(weights, self.left(depth)) if self.layers else weights

    def left(self, depth: int) -> int:
        """The number of blocks that stay. Raises BadInput where none would."""
        if self.layers >= depth:
            raise BadInput("layers.too_many", layers=self.layers, depth=depth, most=depth - 1)
        return depth - self.layers

    def cost(self, sequence_length: int) -> float:
        if self.importance == "block influence":
            return 60_000.0
        return 1_000.0 + 8.0 * self.layers * SAMPLES * sequence_length

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.layer_importance import least_missed, least_turning

        left = self.left(model.depth)
        if not self.layers:
            return
        gone = (
            least_turning(model, self.layers, context)
            if self.importance == "block influence"
            else least_missed(model, self.layers, SAMPLES, context)
        )
        kept = [layer for layer in range(model.depth) if layer not in gone]
        assert len(kept) == left
        context.job.remember("layers.removed", count=len(gone), layers=sorted(gone), depth=model.depth)
        model.keep_layers(kept)
