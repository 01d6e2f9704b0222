"""What points are expected to come to before they are measured: exact bytes, predicted perplexity. No Streamlit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from compresslab.errors import CompresslabError
from compresslab.planning.estimate import Estimate
from compresslab.planning.prediction import SURE
from compresslab.recipes.recipe import Recipe
from compresslab.store.sweeps import PointRow
from compresslab_dashboard.explore.readings import Reading

ESTIMATE = "estimate"  # the stage of a reading that nobody measured
SECONDS_A_TURN = 0.08  # of a rerun; a point takes some milliseconds, and five hundred would hold the page up
MOST_KEPT = 5000
OPEN_TO_IT = ("waiting", "queued", "running", "stopped")


class Foreseen:
    """By recipe, for all sessions of the process. `known_by` names the sensitivity table: it may be measured anew."""

    def __init__(self, estimate: Callable[[Recipe], Estimate]) -> None:
        self._estimate = estimate
        self._kept: dict[tuple[str, str], Reading | None] = {}

    def of(
        self, rows: Iterable[PointRow], known_by: str, recipe_of: Callable[[int], Recipe | None]
    ) -> dict[int, Reading]:
        """By place, of the points that have no numbers: those known by now, and a few more at every call."""
        until = time.monotonic() + SECONDS_A_TURN
        found = {}
        for row in filter(_is_open, rows):
            key = known_by, str(row.recipe_hash)
            if key not in self._kept and time.monotonic() < until:
                self._keep(key, self._read(recipe_of(row.place)))
            if reading := self._kept.get(key):
                found[row.place] = reading
        return found

    def lacks(self, rows: Iterable[PointRow], known_by: str) -> bool:
        """Whether another call of `of` would find more."""
        return any((known_by, str(row.recipe_hash)) not in self._kept for row in filter(_is_open, rows))

    def _keep(self, key: tuple[str, str], reading: Reading | None) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = reading

    def _read(self, recipe: Recipe | None) -> Reading | None:
        try:
            return None if recipe is None else estimate_reading(recipe, self._estimate(recipe))
        except CompresslabError:
            return None  # why it can't be done is said where it is run


def _is_open(row: PointRow) -> bool:
    return row.run_id is None and row.state in OPEN_TO_IT


def estimate_reading(recipe: Recipe, told: Estimate) -> Reading | None:
    """None where nothing is predicted: a place on the chart takes both numbers."""
    if told.predicted is None:
        return None
    spread = (told.predicted.high - told.predicted.low) / (2 * SURE)
    values = {
        "perplexity": (told.predicted.perplexity_ratio, spread),
        "size": (told.compressed_bytes / told.baseline_bytes, 0.0),
    }
    plain = {"model": recipe.model, "steps": recipe.to_dict()["steps"]}
    return Reading("", ESTIMATE, plain, values, {"perplexity": 1.0, "size": 1.0}, simulated=frozenset())
