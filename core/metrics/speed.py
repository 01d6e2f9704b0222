"""Speed: both models in turn, alone on the machine, several times; medians are reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class Speed(Metric):
    name: ClassVar[str] = "speed"
    place: ClassVar[int] = 50
    title: ClassVar[str] = "Speed"
    summary: ClassVar[str] = "How fast it reads and writes on this machine, timed beside the baseline."
    on_examples: ClassVar[bool] = False
    alone: ClassVar[bool] = True
    in_draft: ClassVar[bool] = False

    repeats: int = setting(
        5,
        ge=2,
        le=100,
        step=1,
        unit="times",
        label="Repeats",
        plain="How often each model is timed; more makes the numbers surer.",
        help="Timed rounds after one that is not counted; baseline and compressed take turns.",
        advanced=True,
    )
    prompt_tokens: int = setting(
        128,
        ge=8,
        le=8192,
        step=8,
        unit="tokens",
        label="Prompt length",
        plain="How long the text is that it reads first.",
        help="Tokens of the prefill.",
        advanced=True,
    )
    new_tokens: int = setting(
        32,
        ge=4,
        le=1024,
        step=4,
        unit="tokens",
        label="Answer length",
        plain="How many tokens it writes.",
        help="Tokens decoded one by one after the prefill, batch 1.",
        advanced=True,
    )

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.timing import race

        yield from race(context, repeats=self.repeats, prompt_tokens=self.prompt_tokens, new_tokens=self.new_tokens)
