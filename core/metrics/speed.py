"""Speed: both models in turn, alone on the machine, several times; medians are reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    stage: ClassVar[str] = "Timing both, one at a time"
    values: ClassVar[Mapping[str, str]] = {
        "ttft_seconds": "Time to first token",
        "decode_tokens_per_second": "Writing speed",
        "prefill_tokens_per_second": "Reading speed",
        "torch_decode_tokens_per_second": "Writing speed, plain torch",
        "torch_prefill_tokens_per_second": "Reading speed, plain torch",
        "torch_ttft_seconds": "Time to first token, plain torch",
        "bandwidth_share": "Share of the memory's reading speed",
        "torch_bandwidth_share": "Share of the memory's reading speed, plain torch",
        "runtime_divergence": "KL of the runtime to torch, same weights",
        "runtime_weight_bytes": "Weights in memory, in the runtime that answers",
    }
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
        plain="How often each model is timed; more makes the numbers more certain.",
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
        plain="How long the text that it reads first is.",
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
