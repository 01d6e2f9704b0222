"""The one façade: whatever the dashboard, the command line and a script can do, they do through it. No torch here.

What is asked most stands on `Workspace` itself; the rest on its parts, one file each, named by what they are about.
Names that come back: `find` gives one thing, `submit` puts work into the queue and returns the job's number,
`measure`, `write` and `run` do the same work here and now.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from compresslab.errors import BadInput
from compresslab.files.paths import store_url
from compresslab.models.facts import read_facts
from compresslab.planning.allocation import allocate
from compresslab.planning.estimate import Estimate, estimate
from compresslab.planning.presets import Goal, Preset, choose
from compresslab.profiles import sensitivity_store
from compresslab.recipes.plan import Fit, Plan, check, fit, make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Cancelled, Report, ignored, never
from compresslab.records.results import RunRecord, Stage
from compresslab.store import Store
from compresslab.store.votes import VoteStore
from compresslab.work import leftovers
from compresslab.work.holdings import Holding, holdings
from compresslab.work.jobs import RunJob, new_run_id, submit
from compresslab.work.leftovers import Leftovers
from compresslab.work.sweeps import Sweeps
from compresslab.work.visitors import HERE, Visitor, check_machine
from compresslab.workspace.exports import Exports
from compresslab.workspace.jobs import Jobs
from compresslab.workspace.models import Models
from compresslab.workspace.profiles import Profiles
from compresslab.workspace.runs import Runs
from compresslab.workspace.sensitivity import Sensitivity
from compresslab.workspace.statistics import Statistics
from compresslab.workspace.texts import Texts

if TYPE_CHECKING:
    from compresslab.engine.session import Session


class Workspace:
    """Estimate, plan, run and submit recipes on one store, named by its URL or by the environment.

    Its parts: `models` here and on the Hub, `jobs` of the queue, `runs` that are kept, `sweeps` of many recipes,
    `texts` side by side, `votes` of blind tests, `exports` for other programs, and what is known of a model:
    `sensitivity`, `profiles` of its matrices, `statistics` of their inputs.
    """

    def __init__(self, url: str | None = None) -> None:
        self.store = Store(url or store_url())
        self.models = Models(self.store)
        self.jobs = Jobs(self.store)
        self.runs = Runs(self.store)
        self.sweeps = Sweeps(self.store, self._open_session)
        self.texts = Texts(self.store, self._open_session)
        self.exports = Exports(self.store, self._open_session)
        self.sensitivity = Sensitivity(self.store, self._open_session)
        self.profiles = Profiles(self.store, self._open_session)
        self.statistics = Statistics()

    @property
    def votes(self) -> VoteStore:
        """What people preferred in blind tests."""
        return self.store.votes

    def holdings(self) -> list[Holding]:
        """What lies where in the data folder, how much of it and since when; files are counted one by one. Raises
        BadInput."""
        return holdings()

    def clean(self, *, only_look: bool = True, by: Visitor = HERE) -> Leftovers:
        """What killed processes left half-written and what is older than anybody needs; taken away unless this should
        `only_look`. Runs, texts and what models wrote are not among it. Raises CompresslabError, also for visitors of a
        server who are no admins."""
        if not only_look:
            check_machine(by)
        return leftovers.find(self.store) if only_look else leftovers.clean(self.store)

    # -- recipes, nothing run ---------------------------------------------------------------

    def plan(self, recipe: Recipe) -> Plan:
        """Raises BadInput where the recipe does not fit the model or itself."""
        return make_plan(recipe, read_facts(recipe.model))

    def fit(self, recipe: Recipe) -> Fit:
        """Whether the recipe's work fits into this machine's memory, and how large a model would. Raises BadInput."""
        return fit(recipe, read_facts(recipe.model))

    def estimate(self, recipe: Recipe) -> Estimate:
        """Exact bytes, and predicted quality where `sensitivity` knows the model. Raises BadInput."""
        plan = self.plan(recipe)
        return estimate(plan, sensitivity_store.find(recipe, plan.facts))

    def preset(self, goal: Goal, recipe: Recipe) -> Preset:
        """The recipe with steps chosen for what is wanted, from estimates alone. Raises BadInput where none will do."""
        facts = read_facts(recipe.model)
        return choose(goal, recipe, facts, sensitivity_store.find(recipe, facts))

    def allocate(self, recipe: Recipe, *, budget_bytes: int | None = None, ratio: float | None = None) -> Recipe:
        """The recipe with exceptions matrix by matrix, of least predicted damage within so many bytes of the packed
        file, or so many times fewer than the baseline's. Raises BadInput where it can't be met."""
        plan = self.plan(recipe)
        table = sensitivity_store.find(recipe, plan.facts)
        if table is None:
            raise BadInput("sensitivity.missing", model=recipe.model)
        if ratio is not None:
            budget_bytes = int(plan.facts.baseline_bytes / ratio)
        if budget_bytes is None:
            raise BadInput("budget.not_given")
        return allocate(plan, table, budget_bytes)

    # -- recipes at work --------------------------------------------------------------------

    def run(
        self, recipe: Recipe, report: Report = ignored, cancelled: Cancelled = never, stage: Stage = "final"
    ) -> RunRecord:
        """Compress and measure here and now; a final run is kept in the store. Raises CompresslabError."""
        check(recipe)
        record = self._session.run(recipe, run_id=new_run_id(), stage=stage, report=report, cancelled=cancelled)
        if stage == "final":
            self.store.save_run(record)
        return record

    def submit(self, recipe: Recipe, *, stage: Stage = "final", owner: str = "", live: bool = False) -> int:
        """Put a run into the queue, once it is known to make sense; returns the job's number. Raises BadInput.

        A live job takes the place of the owner's live job before it.
        """
        check(recipe)
        return submit(self.store, RunJob(recipe=recipe.to_dict(), stage=stage), owner=owner, live=live)

    @cached_property
    def _session(self) -> Session:
        from compresslab.engine.session import Session

        return Session()

    def _open_session(self) -> Session:
        """For the parts: the engine and its torch are imported when the first of them works in this process."""
        return self._session
