"""The points of a sweep, or the runs of a model, as dots on charts; which of them no other one beats. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from compresslab.messages import Message
from compresslab.recipes.sweep import Value
from compresslab.store.sweeps import PointRow, PointState
from compresslab_dashboard.explore.readings import MEASURES, Measure, Number, Reading

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dot:
    """`name` is how a click and the URL call it: a place in the sweep, or a run."""

    name: str
    coordinates: tuple[Value, ...]
    state: PointState
    reading: Reading | None
    said: Message | None = None  # why it was set aside, failed or was stopped, or has no more than a draft
    estimate: Reading | None = None  # what it is expected to come to, while it has no reading

    def number(self, measure: str) -> Number | None:
        return None if self.reading is None else self.reading.values.get(measure)

    @property
    def draft(self) -> bool:
        return self.reading is not None and self.reading.stage == "draft"


def sweep_dots(
    rows: Iterable[PointRow], readings: Mapping[str, Reading], estimates: Mapping[int, Reading]
) -> list[Dot]:
    return [_sweep_dot(row, readings.get(row.run_id or ""), estimates.get(row.place)) for row in rows]


def _sweep_dot(row: PointRow, reading: Reading | None, estimate: Reading | None) -> Dot:
    return Dot(str(row.place), row.coordinates, row.state, reading, row.trouble, estimate)


def run_dots(run_ids: Iterable[str], readings: Mapping[str, Reading]) -> list[Dot]:
    return [Dot(run_id, (), "done", readings[run_id]) for run_id in run_ids if run_id in readings]


def measured(dots: Iterable[Dot], *measures: str) -> list[Dot]:
    """Those that have all of these numbers."""
    return [dot for dot in dots if all(dot.number(measure) is not None for measure in measures)]


def known_measures(dots: Sequence[Dot], about: str) -> list[str]:
    """That at least one dot has, in the order in which they are offered."""
    return [m.name for m in MEASURES.values() if m.about == about and measured(dots, m.name)]


def front(dots: Sequence[Dot], cost: str, quality: str) -> set[str]:
    """Names of the dots that no other one beats: none is as good at both and better at one by more than the error.

    Dots within each other's error stay side by side. `dots` have both numbers.
    """
    if not dots:
        return set()
    numbers = [_lower_is_better(dots, MEASURES[name]) for name in (cost, quality)]
    no_worse: Array = np.ones((len(dots), len(dots)), dtype=bool)  # [beaten, beating]
    clearly_better: Array = np.zeros_like(no_worse)
    for values, errors in numbers:
        gain = values[:, None] - values[None, :]
        no_worse &= gain >= 0
        clearly_better |= gain > np.hypot(errors[:, None], errors[None, :])
    beaten: Array = np.any(no_worse & clearly_better, axis=1)
    return {dot.name for dot, lost in zip(dots, beaten, strict=True) if not lost}


def _lower_is_better(dots: Sequence[Dot], measure: Measure) -> tuple[Array, Array]:
    """Values and standard errors, [dots] each."""
    numbers = np.array([dot.number(measure.name) for dot in dots], dtype=float)
    return (1 if measure.better == "lower" else -1) * numbers[:, 0], numbers[:, 1]
