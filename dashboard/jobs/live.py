"""Watching jobs: lossless cursors over their events, and what the session remembers when one has ended."""

from __future__ import annotations

from collections.abc import Sequence

from compresslab.errors import BadInput
from compresslab.store import LEFT, JobRow
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State

POLL_SECONDS = 0.2  # verdict, progress and charts
TEXT_POLL_SECONDS = 0.1  # words that appear one by one
SLOW_POLL_SECONDS = 1.0  # what takes minutes, or waits for others
FAR, FAR_POLL_SECONDS = 8, 4.0  # what waits for so many others: each of them takes a second at the least


def watched(session: State) -> list[int]:
    """Runs that are still under way: the final one and the live draft."""
    return [job for job in (session.job, session.draft) if job is not None and is_open(session, job)]


def is_open(session: State, job_id: int | None) -> bool:
    return job_id is not None and job_id not in session.watched.ended


def pace(jobs: Sequence[int], seconds: float) -> float | None:
    """How often to look at these jobs: never without any, seldom while others are done before them.

    Ten people who wait behind one job would look fifty times a second, and nothing would have changed; a hundred who
    wait for each other's drafts would keep the server busy with looking.
    """
    if not jobs:
        return None
    next_one = min(map(state.workspace().jobs.queue_place, jobs))
    return FAR_POLL_SECONDS if next_one >= FAR else SLOW_POLL_SECONDS if next_one else seconds


def turn_has_come(jobs: Sequence[int], every: float | None, seconds: float) -> bool:
    """They were looked at seldom, and no other work is before them now, or little."""
    return every in (SLOW_POLL_SECONDS, FAR_POLL_SECONDS) and (pace(jobs, seconds) or every) < every


def catch_up(session: State) -> None:
    """Before anything is drawn: jobs of the URL may have ended, or belong to the recipe on the screen."""
    for job_id in (session.job, session.draft, session.texts):
        if job_id is not None and is_open(session, job_id):
            pull(job_id)


def pull(job_id: int) -> JobRow | None:
    """Take in what the job has reported since; None where the store does not know it.

    The row is read before the events: when it says that the job is over, no event is missing.
    """
    session = state.current()
    jobs = state.workspace().jobs
    try:
        job = jobs.find(job_id)
    except BadInput:
        session.watched.end(job_id, None)
        return None
    if job.live and job.state == "queued" and session.watched.renewal_is_due(job_id):
        jobs.renew(job_id)
    view = session.watched.view(job_id)
    view.feed(jobs.events(job_id, view.cursor))
    if job.kind == "run":
        session.watched.recipes.setdefault(job_id, state.version_of_job(job))
    if job.over:
        _settle(session, job)
    return job


def generation(job_id: int | None) -> JobRow | None:
    """The job that writes texts, its events taken in; None where there is none, or it does something else."""
    session = state.current()
    if job_id is None:
        return None
    job = pull(job_id) if is_open(session, job_id) else session.watched.ended[job_id]
    return job if job is not None and job.kind == "generate" else None


def _settle(session: State, job: JobRow) -> None:
    if job.id in session.watched.ended:
        return
    session.watched.end(job.id, job)
    if job.error == LEFT:
        session.watched.tried.pop(session.watched.recipes.get(job.id, ""), None)  # who has come back gets a new draft
    if job.kind == "export":
        session.known.records.pop(job.payload["run"]["run_id"], None)  # it tells of the export now
    if job.stage == "final" and job.state == "done" and job.run_id:
        recipe = session.watched.recipes[job.id]
        session.watched.finals[recipe] = (job.run_id, job.id)
        if recipe == state.version_of(session.recipe):
            session.run = job.run_id
            session.job = None
