"""Footprint: bytes on disk as really written, zeros achieved; weights in memory and peak memory in torch, where quality
is measured. What the runtime that answers holds is told with its speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from compresslab.recipes.metric import Metric
from compresslab.records.results import Measurement

if TYPE_CHECKING:
    from compresslab.engine.measuring.context import MeasureContext


class Footprint(Metric):
    name: ClassVar[str] = "footprint"
    place: ClassVar[int] = 60
    title: ClassVar[str] = "Size"
    summary: ClassVar[str] = "How much space it takes, on disk and in memory."
    values: ClassVar[Mapping[str, str]] = {
        "size_on_disk_bytes": "Size on disk",
        "weight_memory_bytes": "Weights in memory, in torch",
        "peak_memory_bytes": "Peak memory, in torch",
        "sparsity": "Weights at zero",
    }
    on_examples: ClassVar[bool] = False

    def measure(self, context: MeasureContext) -> Iterator[list[Measurement]]:
        from compresslab.engine.measuring.footprint import footprints

        yield footprints(context)
