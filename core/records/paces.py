"""How much faster the compressed model is than its baseline, with the error of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from compresslab.records.results import Measurement, find

SPEED_METRICS = {
    "decode": "decode_tokens_per_second",
    "prefill": "prefill_tokens_per_second",
    "ttft": "ttft_seconds",
}


@dataclass(frozen=True)
class Pace:
    """Speed of both models at one thing; `ratio` above 1 is faster than the baseline."""

    name: str
    baseline: Measurement
    compressed: Measurement

    @property
    def ratio(self) -> float:
        old, new = self.baseline.value, self.compressed.value
        if self.compressed.direction == "lower":
            old, new = new, old
        return new / old if old else math.nan

    @property
    def ratio_error(self) -> float:
        """Standard error of the ratio, from those of both models."""
        return self.ratio * math.hypot(self.relative_error(self.baseline), self.relative_error(self.compressed))

    def relative_error(self, measurement: Measurement) -> float:
        return (measurement.error or 0.0) / measurement.value if measurement.value else 0.0


def paces(measurements: Sequence[Measurement]) -> list[Pace]:
    """Those that both models were timed at."""
    found = []
    for name, metric in SPEED_METRICS.items():
        baseline, compressed = (find(measurements, metric, variant) for variant in ("baseline", "compressed"))
        if baseline and compressed:
            found.append(Pace(name, baseline, compressed))
    return found
