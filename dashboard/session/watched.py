"""The jobs that a browser session has asked for or looked at, and what it has seen of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cachetools import LRUCache
from compresslab.store import JobRow
from compresslab_dashboard.session.job_view import JobView

RENEW_SECONDS = 8.0  # several times before the store takes us for gone
MOST_ENDED = 300  # jobs: what a session forgets, it reads again from the store
MOST_RECIPES = 1000  # versions: a day's moves of a slider


@dataclass
class Watched:
    """`ended` holds None for a job that is not in the store. By the version of a recipe (`state.version_of`): `finals`
    its run and the job of it, `tried` whether a draft was asked for."""

    views: dict[int, JobView] = field(default_factory=dict)
    recipes: dict[int, str] = field(default_factory=dict)  # job -> version of its recipe
    ended: dict[int, JobRow | None] = field(default_factory=dict)  # in the order in which they were seen to end
    renewed: dict[int, float] = field(default_factory=dict)  # when the store was told that we wait, by our clock
    stopping: set[int] = field(default_factory=set)  # asked to stop
    finals: LRUCache[str, tuple[str, int | None]] = field(default_factory=lambda: LRUCache(MOST_RECIPES))
    tried: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(MOST_RECIPES))

    def renewal_is_due(self, job_id: int) -> bool:
        """Yes once in so many seconds: every renewal is a write to the store."""
        now = time.monotonic()
        if now - self.renewed.get(job_id, float("-inf")) < RENEW_SECONDS:
            return False
        self.renewed[job_id] = now
        return True

    def view(self, job_id: int) -> JobView:
        return self.views.setdefault(job_id, JobView())

    def end(self, job_id: int, job: JobRow | None) -> None:
        self.ended[job_id] = job
        self.stopping.discard(job_id)
        self.renewed.pop(job_id, None)
        while len(self.ended) > MOST_ENDED:
            self._forget(next(iter(self.ended)))

    def _forget(self, job_id: int) -> None:
        """With its numbers goes that they were asked for: the recipe gets a new draft where it comes back."""
        del self.ended[job_id]
        self.views.pop(job_id, None)
        recipe = self.recipes.pop(job_id, None)
        if recipe is not None and recipe not in self.recipes.values():
            self.tried.pop(recipe, None)

    def forget_run(self, run_id: str) -> None:
        for recipe in [recipe for recipe, run in self.finals.items() if run[0] == run_id]:
            del self.finals[recipe]
