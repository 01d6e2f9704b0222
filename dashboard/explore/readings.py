"""What the charts read of a run: a few numbers with their errors, kept while the process lives. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compresslab.records.results import MeasuredValue, RunNumbers
from compresslab_dashboard.charts import figures

MOST_KEPT = 5000  # readings; a record of the same run is a hundred times as large
Number = tuple[float, float]  # value, standard error (0 where there is none)


@dataclass(frozen=True)
class Measure:
    """One number of a run. `better` says which way is better, `log` that it is read in factors."""

    name: str
    about: Literal["quality", "cost"]
    better: Literal["lower", "higher"]
    read: Callable[[RunNumbers], Number | None]
    baseline: Callable[[RunNumbers], float | None]
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


def _perplexity(record: RunNumbers) -> Number | None:
    found = record.find("perplexity")
    if found is None or found.change is None:
        return None
    return 1 + found.change / 100, (found.change_error or 0.0) / 100


def _value(metric: str) -> Callable[[RunNumbers], Number | None]:
    def read(record: RunNumbers) -> Number | None:
        found = record.find(metric)
        return None if found is None else (found.value, found.error or 0.0)

    return read


def _share(metric: str) -> Callable[[RunNumbers], Number | None]:
    """Of the baseline's."""

    def read(record: RunNumbers) -> Number | None:
        before, after = record.find(metric, "baseline"), record.find(metric)
        return (after.value / before.value, 0.0) if before and after and before.value else None

    return read


def _pace(name: str) -> Callable[[RunNumbers], Number | None]:
    """Times the baseline's speed."""

    def read(record: RunNumbers) -> Number | None:
        found = next((pace for pace in figures.paces(record.measurements) if pace.name == name), None)
        return None if found is None else (found.ratio, found.ratio_error)

    return read


def _always(value: float) -> Callable[[RunNumbers], float]:
    return lambda record: value


def _baseline_accuracy(record: RunNumbers) -> float | None:
    found = record.find("accuracy", "baseline")
    return None if found is None else found.value


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("perplexity", "quality", "lower", _perplexity, _always(1.0), log=True),
        Measure("accuracy", "quality", "higher", _value("accuracy"), _baseline_accuracy),
        Measure("flipped", "quality", "lower", _value("flipped_answers"), _always(0.0)),
        Measure("size", "cost", "lower", _share("size_on_disk_bytes"), _always(1.0)),
        Measure("decode", "cost", "higher", _pace("decode"), _always(1.0)),
        Measure("prefill", "cost", "higher", _pace("prefill"), _always(1.0)),
        Measure("memory", "cost", "lower", _share("weight_memory_bytes"), _always(1.0)),
    )
}


def reading(record: RunNumbers) -> Reading:
    read = {name: measure.read(record) for name, measure in MEASURES.items()}
    values = {name: number for name, number in read.items() if number and all(math.isfinite(part) for part in number)}
    plain = {"model": record.model, "steps": record.recipe.get("steps", [])}
    before = {name: measure.baseline(record) for name, measure in MEASURES.items()}
    baseline = {name: value for name, value in before.items() if value is not None}
    return Reading(record.run_id, record.stage, plain, values, baseline, _simulated(record.measurements))


def _simulated(measurements: Sequence[MeasuredValue]) -> frozenset[str]:
    return frozenset(pace.name for pace in figures.paces(measurements) if pace.compressed.kernel == "simulated")


class Readings:
    """By run, for all sessions of the process: what was read once is not read again. A run never changes."""

    def __init__(self) -> None:
        self._kept: dict[str, Reading] = {}

    def of(self, run_ids: Iterable[str], fetch: Callable[[list[str]], list[RunNumbers]]) -> dict[str, Reading]:
        """Of those of the runs that are there."""
        wanted = list(run_ids)
        lacking = [run_id for run_id in wanted if run_id not in self._kept]
        fresh = {record.run_id: reading(record) for record in fetch(lacking)} if lacking else {}
        found = {run_id: known for run_id in wanted if (known := fresh.get(run_id) or self._kept.get(run_id))}
        self._kept |= fresh
        if len(self._kept) > MOST_KEPT:
            self._kept = dict(found)
        return found
