"""What the charts read of a run: a few numbers with their errors, kept while the process lives. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from compresslab.records.run_row import RunRow

MOST_KEPT = 5000  # readings
Number = tuple[float, float]  # value, standard error (0 where there is none)


@dataclass(frozen=True)
class Measure:
    """One number of a run. `better` says which way is better, `log` that it is read in factors."""

    name: str
    about: Literal["quality", "cost"]
    better: Literal["lower", "higher"]
    read: Callable[[RunRow], Number | None]
    baseline: Callable[[RunRow], float | None]
    log: bool = False


@dataclass(frozen=True)
class Reading:
    """A run as the charts see it. `simulated` are the speeds that are those of rounded numbers in a dense matmul."""

    run_id: str
    stage: str
    recipe: dict[str, Any]  # model and steps alone
    values: dict[str, Number]
    baseline: dict[str, float]
    simulated: frozenset[str]


def _perplexity(row: RunRow) -> Number | None:
    if row.perplexity_change is None:
        return None
    return 1 + row.perplexity_change / 100, (row.perplexity_change_error or 0.0) / 100


def _number(value: float | None, error: float | None = None) -> Number | None:
    return None if value is None else (value, error or 0.0)


def _baseline_accuracy(row: RunRow) -> float | None:
    return row.accuracy_before


def _always(value: float) -> Callable[[RunRow], float]:
    return lambda row: value


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("perplexity", "quality", "lower", _perplexity, _always(1.0), log=True),
        Measure("accuracy", "quality", "higher", lambda r: _number(r.accuracy, r.accuracy_error), _baseline_accuracy),
        Measure("flipped", "quality", "lower", lambda r: _number(r.flipped, r.flipped_error), _always(0.0)),
        Measure("size", "cost", "lower", lambda r: _number(r.size_share), _always(1.0)),
        Measure("decode", "cost", "higher", lambda r: _number(r.decode, r.decode_error), _always(1.0)),
        Measure("prefill", "cost", "higher", lambda r: _number(r.prefill, r.prefill_error), _always(1.0)),
        Measure("memory", "cost", "lower", lambda r: _number(r.memory_share), _always(1.0)),
    )
}


def reading(row: RunRow) -> Reading:
    read = {name: measure.read(row) for name, measure in MEASURES.items()}
    values = {name: number for name, number in read.items() if number and all(math.isfinite(part) for part in number)}
    before = {name: measure.baseline(row) for name, measure in MEASURES.items()}
    baseline = {name: value for name, value in before.items() if value is not None}
    return Reading(row.run_id, row.stage, row.recipe, values, baseline, frozenset(row.simulated.split()))


class Readings:
    """By run, for all sessions of the process: what was read once is not read again. A run never changes."""

    def __init__(self) -> None:
        self._kept: dict[str, Reading] = {}

    def of(self, run_ids: Iterable[str], fetch: Callable[[list[str]], list[RunRow]]) -> dict[str, Reading]:
        """Of those of the runs that are there."""
        wanted = list(run_ids)
        lacking = [run_id for run_id in wanted if run_id not in self._kept]
        fresh = {row.run_id: reading(row) for row in fetch(lacking)} if lacking else {}
        found = {run_id: known for run_id in wanted if (known := fresh.get(run_id) or self._kept.get(run_id))}
        self._kept |= fresh
        if len(self._kept) > MOST_KEPT:
            self._kept = dict(found)
        return found
