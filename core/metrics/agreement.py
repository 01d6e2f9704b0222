"""Agreement with the baseline: equal accuracy can hide changed answers (Dutta et al. 2024, arXiv:2407.09141)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class Agreement(Metric):
    """KL to the baseline and share of equal top tokens, on the text; flipped answers, on the questions.

    Reads the same scores as perplexity and accuracy: nothing is computed twice.
    """

    name: ClassVar[str] = "agreement"
    place: ClassVar[int] = 40
    title: ClassVar[str] = "Agreement"
    summary: ClassVar[str] = "How often it says what the baseline says."
    values: ClassVar[Mapping[str, str]] = {
        "kl_divergence": "KL to the baseline",
        "top1_agreement": "Same first choice of word",
        "flipped_answers": "Answers changed",
    }

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.measurements import divergences, flips

        tokens: list[Measurement] = []
        for scores in context.token_scores():
            tokens = divergences(scores)
            yield tokens
        for answers in context.question_scores():
            yield tokens + flips(answers)
