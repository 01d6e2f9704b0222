"""What is known of the recipe on the screen: a final run, else a draft, else the estimate. Never more than it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.planning.estimate import Estimate
from compresslab.records.results import Measurement, RunRecord, Stage
from compresslab_dashboard.editing.estimate import estimate_of
from compresslab_dashboard.session import state
from compresslab_dashboard.session.job_view import DraftPoint, JobView
from compresslab_dashboard.session.state import State


@dataclass(frozen=True)
class Outcome:
    """`view` is what the job behind the numbers has reported; `problem` says why there is not even an estimate."""

    estimate: Estimate | None
    problem: Message | None = None
    record: RunRecord | None = None
    view: JobView = field(default_factory=JobView)
    stream: str = ""  # names the drawing: another job begins a new one

    @property
    def measurements(self) -> list[Measurement]:
        return self.record.measurements if self.record else self.view.measurements

    @property
    def drafts(self) -> list[DraftPoint]:
        """Points of the converging chart; a run whose stream is not at hand has its last point only."""
        perplexity = self.record.find("perplexity") if self.record else None
        if self.view.drafts or perplexity is None:
            return self.view.drafts
        return [DraftPoint(perplexity.samples, [perplexity])]

    @property
    def stage(self) -> Stage:
        if self.record is not None:
            return "final"
        return "draft" if self.view.measurements else "estimate"


def outcome_of(session: State) -> Outcome:
    recipe = session.recipe
    wanted = state.version_of(recipe)
    estimate, problem = estimate_of(session)
    job = _job_of(session, wanted)
    view = session.watched.view(job) if job is not None else JobView()
    return Outcome(estimate, problem, _record(session, wanted), view, stream=str(job or session.run or ""))


def _job_of(session: State, wanted: str) -> int | None:
    """The job whose numbers belong to the recipe: the full run before any draft, the newest draft before older ones."""
    final = session.watched.finals.get(wanted)
    if final is not None and final[1] is not None:
        return final[1]
    if session.job is not None and session.watched.recipes.get(session.job) == wanted:
        return session.job
    drafts = [
        job
        for job, recipe in session.watched.recipes.items()
        if recipe == wanted and session.watched.view(job).measurements
    ]
    if drafts:
        return max(drafts)
    return session.draft if session.draft is not None and session.watched.recipes.get(session.draft) == wanted else None


def _record(session: State, wanted: str) -> RunRecord | None:
    """The finished run of this recipe: one that ended in this session, or one that was opened."""
    if wanted not in session.watched.finals:
        return None
    try:
        return state.record(session.watched.finals[wanted][0])
    except BadInput:
        del session.watched.finals[wanted]
        return None
