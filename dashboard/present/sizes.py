"""Finished runs -> the few sizes that one slider goes through. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compresslab.records.results import RunSummary
from compresslab_dashboard.charts.figures import disk_bytes

MOST_SIZES = 7
NEARLY_WHOLE = 0.97  # of the baseline's bytes: nobody sees a difference from there on


@dataclass(frozen=True)
class Size:
    """A run that no other run beats in both: `share` of the baseline's bytes, `loss` of quality (lower is better)."""

    record: RunSummary
    share: float
    loss: float


def sizes_of(records: Sequence[RunSummary], model: str) -> list[Size]:
    """Of one model, the largest first; thinned so that every stop of the slider is worth its place."""
    return _thinned(_front(record for record in records if record.model == model))


def models_with_sizes(records: Sequence[RunSummary]) -> list[str]:
    """Those with the most sizes first."""
    models = dict.fromkeys(record.model for record in records)
    counts = {model: len(_front(record for record in records if record.model == model)) for model in models}
    return sorted((model for model in counts if counts[model]), key=lambda model: -counts[model])


def _size(record: RunSummary) -> Size | None:
    before, after = disk_bytes(record.measurements)
    loss = _loss(record)
    if record.stage != "final" or loss is None or not before or not 0 < after <= NEARLY_WHOLE * before:
        return None
    return Size(record, after / before, loss)


def _loss(record: RunSummary) -> float | None:
    """How much worse than its own baseline: perplexity where there is one, else right answers; both in percent."""
    perplexity, accuracy = record.find("perplexity"), record.find("accuracy")
    if perplexity is not None and perplexity.change is not None:
        return perplexity.change
    return None if accuracy is None or accuracy.change is None else -100 * accuracy.change


def _front(records: Iterable[RunSummary]) -> list[Size]:
    """The Pareto front, the largest first. Of the same size and loss the first given one, which is the newest."""
    known = [size for record in records if (size := _size(record)) is not None]
    front: list[Size] = []
    for size in sorted(known, key=lambda size: (size.share, size.loss)):
        if not front or size.loss < front[-1].loss:
            front.append(size)
    return front[::-1]


def _thinned(front: list[Size]) -> list[Size]:
    """Both ends stay; of the others the one that lies closest between its neighbours goes, until few are left."""
    kept = list(front)
    while len(kept) > MOST_SIZES:
        gaps = [math.log(kept[i - 1].share / kept[i + 1].share) for i in range(1, len(kept) - 1)]
        del kept[1 + gaps.index(min(gaps))]
    return kept
