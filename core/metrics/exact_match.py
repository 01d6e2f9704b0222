"""Exact match: the greedy answer of an encoder-decoder is the target, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class ExactMatch(Metric):
    """For models that answer an input; the others have no part of it in their record."""

    name: ClassVar[str] = "exact_match"
    place: ClassVar[int] = 30
    title: ClassVar[str] = "Exact match"
    summary: ClassVar[str] = "How often its answer is word for word the one in your file."
    values: ClassVar[Mapping[str, str]] = {
        "exact_match": "Exact match",
    }
    tasks: ClassVar[tuple[Task, ...]] = ("seq2seq",)
    in_draft: ClassVar[bool] = False

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.measurements import accuracies, flips

        for scores in context.answer_scores():
            yield accuracies(scores, "exact_match") + flips(scores)
