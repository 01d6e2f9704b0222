"""How sensitive a model is to each method in each matrix: measured once, read by estimates and allocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compresslab.models.facts import read_facts
from compresslab.profiles import sensitivity_store
from compresslab.profiles.probes import probes
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Cancelled, Report, ignored, never
from compresslab.store import Store
from compresslab.work import jobs
from compresslab.work.jobs import SensitivityJob

if TYPE_CHECKING:
    from compresslab.engine.session import Session


class Sensitivity:
    def __init__(self, store: Store, session: Callable[[], Session]) -> None:
        self._store, self._session = store, session

    def find(self, recipe: Recipe) -> SensitivityTable | None:
        """Of the recipe's model, best with the recipe's texts; None before it was measured. Raises BadInput."""
        return sensitivity_store.find(recipe, read_facts(recipe.model))

    def measure(self, recipe: Recipe, report: Report = ignored, cancelled: Cancelled = never) -> SensitivityTable:
        """Measure here and now, with the recipe's model and texts, and keep the table. Raises CompresslabError."""
        return sensitivity_store.measure(self._session(), recipe, probes(METHODS.values()), report, cancelled)

    def submit(self, recipe: Recipe, *, owner: str = "") -> int:
        """Put the measuring of the recipe's model into the queue; returns the job's number."""
        return jobs.submit(self._store, SensitivityJob(recipe=recipe.to_dict()), owner=owner)
