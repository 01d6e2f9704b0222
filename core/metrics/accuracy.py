"""Multiple-choice accuracy: the choice with the highest log-likelihood is the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class Accuracy(Metric):
    name: ClassVar[str] = "accuracy"
    place: ClassVar[int] = 20
    title: ClassVar[str] = "Accuracy"
    summary: ClassVar[str] = "How many questions it answers correctly, and how many answers changed."
    values: ClassVar[Mapping[str, str]] = {
        "accuracy": "Accuracy",
    }
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification")

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.measurements import accuracies

        for scores in context.question_scores():
            yield accuracies(scores)
