"""A close look at every matrix of a recipe: histograms, zeros, errors, and the importance of every head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compresslab.profiles import layer_profile
from compresslab.profiles.layer_profile import LayerProfile
from compresslab.recipes.plan import check
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Cancelled, Report, ignored, never
from compresslab.store import Store
from compresslab.work import jobs
from compresslab.work.jobs import ProfileJob

if TYPE_CHECKING:
    from compresslab.engine.session import Session


class Profiles:
    def __init__(self, store: Store, session: Callable[[], Session]) -> None:
        self._store, self._session = store, session

    def find(self, recipe: Recipe) -> LayerProfile | None:
        """What was seen of the recipe's matrices; None before anyone looked. Raises BadInput."""
        return layer_profile.find(recipe)

    def measure(
        self, recipe: Recipe, run_id: str | None = None, report: Report = ignored, cancelled: Cancelled = never
    ) -> LayerProfile:
        """Look here and now, at the weights of the run where one is named, and keep it. Raises CompresslabError."""
        return layer_profile.measure(self._session(), recipe, run_id, report, cancelled)

    def submit(self, recipe: Recipe, run_id: str | None = None, *, owner: str = "") -> int:
        """Put a close look into the queue; `find` has it then. Returns the job's number. Raises BadInput."""
        check(recipe)
        return jobs.submit(self._store, ProfileJob(recipe=recipe.to_dict(), run=run_id), owner=owner)
