"""How far a job is, in words and as a share."""

from __future__ import annotations

from compresslab.store import JobRow
from compresslab_dashboard.recipe.words import model_text, steps_text
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.texts import Words, formats


def fraction(session: State, job: JobRow) -> float:
    progress = session.watched.view(job.id).progress
    return min(1.0, max(0.0, progress.fraction)) if progress else 0.0


def run_text(session: State, job: JobRow, words: Words) -> str:
    """As `progress_text`, the recipe first where another one is on the screen."""
    text = progress_text(session, job, words)
    if session.watched.recipes.get(job.id) == state.version_of(session.recipe):
        return text
    return f"{steps_text(job.payload['recipe'], words)}: {text}"


def progress_text(session: State, job: JobRow, words: Words) -> str:
    """Stage in plain words and time left."""
    progress = session.watched.view(job.id).progress
    if job.state == "queued":
        return queue_text(job.id, words)
    if progress is None:
        return words("job.starting")
    left = formats.seconds_left(progress.seconds_left, words.language)
    return " · ".join(filter(None, [words.stage(progress.stage), left]))


def queue_text(job_id: int, words: Words) -> str:
    """How many jobs come before it, and which one all wait for."""
    jobs = state.workspace().jobs
    before = jobs.queue_place(job_id)
    if not before:
        return words("job.queued.next")
    running = jobs.running_longest()
    if running is None or running.live:
        return words("job.queued", before=before)
    progress = jobs.progress(running.id)
    left = formats.seconds_left(progress.seconds_left, words.language) if progress else ""
    others = words("job.queued.place", before=before) if before > 1 else ""
    behind = words("job.queued.behind", job=running.id, model=model_text(_model(running)))
    return " · ".join(filter(None, [behind, left, others]))


def _model(job: JobRow) -> str:
    """Of a job of any kind, from plain data: it may be one of another version."""
    told = job.payload
    panes = told.get("request", {}).get("panes", [])
    return str((told.get("recipe") or told.get("run") or (panes[0] if panes else told)).get("model", ""))
