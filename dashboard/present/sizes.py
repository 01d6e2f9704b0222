"""Finished runs -> the few sizes that one slider goes through. No Streamlit."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compresslab.records.run_row import RunRow

MOST_SIZES = 7
NEARLY_WHOLE = 0.97  # of the baseline's bytes: nobody sees a difference from there on


@dataclass(frozen=True)
class Size:
    """A run that no other run beats in both: `share` of the baseline's bytes, `loss` of quality (lower is better)."""

    run: RunRow
    share: float
    loss: float


def sizes_of(runs: Sequence[RunRow], model: str) -> list[Size]:
    """Of one model, the largest first; thinned so that every stop of the slider is worth its place."""
    return _thinned(_front(run for run in runs if run.model == model))


def models_with_sizes(runs: Sequence[RunRow]) -> list[str]:
    """Those with the most sizes first."""
    models = dict.fromkeys(run.model for run in runs)
    counts = {model: len(_front(run for run in runs if run.model == model)) for model in models}
    return sorted((model for model in counts if counts[model]), key=lambda model: -counts[model])


def _size(run: RunRow) -> Size | None:
    loss = _loss(run)
    if run.stage != "final" or loss is None or run.size_share is None or not 0 < run.size_share <= NEARLY_WHOLE:
        return None
    return Size(run, run.size_share, loss)


def _loss(run: RunRow) -> float | None:
    """How much worse than its own baseline: perplexity where there is one, else right answers; both in percent."""
    if run.perplexity_change is not None:
        return run.perplexity_change
    return None if run.accuracy_change is None else -100 * run.accuracy_change


def _front(runs: Iterable[RunRow]) -> list[Size]:
    """The Pareto front, the largest first. Of the same size and loss the first given one, which is the newest."""
    known = [size for run in runs if (size := _size(run)) is not None]
    front: list[Size] = []
    for size in sorted(known, key=lambda size: (size.share, size.loss)):
        if not front or size.loss < front[-1].loss:
            front.append(size)
    return front[::-1]


def _thinned(front: list[Size]) -> list[Size]:
    """Both ends stay; of the others the one that lies closest between its neighbours goes, until few are left."""
    before, after = [i - 1 for i in range(len(front))], [i + 1 for i in range(len(front))]
    gap = {i: _gap(front, i - 1, i + 1) for i in range(1, len(front) - 1)}
    nearest = [(width, i) for i, width in gap.items()]
    heapq.heapify(nearest)
    while len(gap) + 2 > MOST_SIZES and nearest:
        width, i = heapq.heappop(nearest)
        if gap.get(i) != width:  # it has gone, or has other neighbours since
            continue
        del gap[i]
        after[before[i]], before[after[i]] = after[i], before[i]
        for n in (before[i], after[i]):
            if n in gap:
                gap[n] = _gap(front, before[n], after[n])
                heapq.heappush(nearest, (gap[n], n))
    return [size for i, size in enumerate(front) if i in gap or i in (0, len(front) - 1)]


def _gap(front: list[Size], larger: int, smaller: int) -> float:
    return math.log(front[larger].share / front[smaller].share)
