"""Near choices: how often the baseline's first choice of a token is among the compressed model's first few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class NearChoice(Metric):
    name: ClassVar[str] = "near_choice"
    title: ClassVar[str] = "Near choices"
    summary: ClassVar[str] = "How often what the baseline says is at least among what it considers."
    values: ClassVar[Mapping[str, str]] = {"near_choice": "Baseline's choice among the first few"}
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    in_draft: ClassVar[bool] = False

    first: int = setting(
        5,
        ge=1,
        le=100,
        step=1,
        unit="tokens",
        label="First few",
        plain="Among how many of its likeliest words the baseline's word must be.",
        help="k: the share of positions whose baseline argmax is in the compressed model's top k.",
    )

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.models.tasks import log_probabilities

        windows, _ = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
        near = seen = 0
        for window in windows.split(1):
            context.check()
            said = log_probabilities(context.baseline, window).argmax(-1, keepdim=True)  # [1, S-1, 1]
            considered = log_probabilities(context.compressed, window).topk(self.first).indices  # [1, S-1, k]
            near += int((considered == said).any(-1).sum())
            seen += said.numel()
            yield [self._share(near / seen, seen)]

    def _share(self, value: float, tokens: int) -> Measurement:
        return Measurement(
            metric=self.name,
            variant="compressed",
            value=value,
            unit="fraction",
            error=(value * (1 - value) / tokens) ** 0.5,
            direction="higher",
            samples=tokens,
            sample_unit="tokens",
        )
