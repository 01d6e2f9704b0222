"""What lists and charts of thousands of runs say of each: the columns of the store, written once with the run.

Of every number what people sort, draw or compare: a value with its standard error, None where it was not measured.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple, Self

from compresslab.records.paces import Pace, paces
from compresslab.records.results import Measurement, RunSummary


class RunRow(NamedTuple):
    """One run in a list; its record has all the rest. Shares and paces are those of the baseline's."""

    run_id: str
    model: str
    created: str  # ISO 8601, UTC
    stage: str
    recipe_hash: str
    steps: str  # of the recipe, as JSON
    seconds: float
    device: str
    versions: str  # of the packages that decide, one after the other
    size: float | None  # bytes on disk
    size_share: float | None
    memory_share: float | None  # of the weights' bytes in memory
    perplexity: float | None
    perplexity_error: float | None
    perplexity_change: float | None  # %, on the same tokens
    perplexity_change_error: float | None
    accuracy: float | None  # a fraction
    accuracy_error: float | None
    accuracy_before: float | None  # the baseline's
    accuracy_change: float | None
    flipped: float | None  # fraction of the answers
    flipped_error: float | None
    decode: float | None
    decode_error: float | None
    prefill: float | None
    prefill_error: float | None
    simulated: str  # which of the paces are those of rounded numbers in a dense matmul, "decode prefill"
    tags: tuple[str, ...] = ()  # what people wrote on it
    note: str = ""
    owner: str = ""  # who asked for it

    @property
    def recipe(self) -> dict[str, Any]:
        """Its model and steps alone."""
        return {"model": self.model, "steps": json.loads(self.steps)}

    @classmethod
    def of(cls, record: RunSummary) -> Self:
        size, perplexity = record.find("size_on_disk_bytes"), record.find("perplexity")
        accuracy, flipped = record.find("accuracy"), record.find("flipped_answers")
        timed = {pace.name: pace for pace in paces(record.measurements) if math.isfinite(pace.ratio)}
        decode, prefill = timed.get("decode"), timed.get("prefill")
        return cls(
            run_id=record.run_id,
            model=record.model,
            created=record.created,
            stage=record.stage,
            recipe_hash=record.recipe_hash,
            steps=json.dumps(record.recipe.get("steps", []), ensure_ascii=False),
            seconds=record.seconds,
            device=record.hardware.device,
            versions=", ".join(f"{name} {version}" for name, version in record.hardware.versions.items()),
            size=_of(size, "value"),
            size_share=_share(record, "size_on_disk_bytes"),
            memory_share=_share(record, "weight_memory_bytes"),
            perplexity=_of(perplexity, "value"),
            perplexity_error=_of(perplexity, "error"),
            perplexity_change=_of(perplexity, "change"),
            perplexity_change_error=_of(perplexity, "change_error"),
            accuracy=_of(accuracy, "value"),
            accuracy_error=_of(accuracy, "error"),
            accuracy_before=_of(record.find("accuracy", "baseline"), "value"),
            accuracy_change=_of(accuracy, "change"),
            flipped=_of(flipped, "value"),
            flipped_error=_of(flipped, "error"),
            decode=_of(decode, "ratio"),
            decode_error=_of(decode, "ratio_error"),
            prefill=_of(prefill, "ratio"),
            prefill_error=_of(prefill, "ratio_error"),
            simulated=" ".join(name for name, pace in timed.items() if pace.compressed.kernel == "simulated"),
        )


def _of(found: Measurement | Pace | None, part: str) -> float | None:
    number: float | None = getattr(found, part, None)
    return number


def _share(record: RunSummary, metric: str) -> float | None:
    before, after = record.find(metric, "baseline"), record.find(metric)
    return after.value / before.value if before and after and before.value else None
