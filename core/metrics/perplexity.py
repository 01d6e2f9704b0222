"""Perplexity: exp(mean negative log-likelihood of a token), on windows without overlap (GPTQ's protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class Perplexity(Metric):
    name: ClassVar[str] = "perplexity"
    place: ClassVar[int] = 10
    title: ClassVar[str] = "Perplexity"
    summary: ClassVar[str] = "How surprised the model is by real text; lower is better."
    values: ClassVar[Mapping[str, str]] = {
        "perplexity": "Perplexity",
    }
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "seq2seq")

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.measurements import perplexities

        for scores in context.token_scores():
            yield perplexities(scores)
