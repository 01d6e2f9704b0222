"""Jobs of the queue, whatever they do: found, followed event by event, cancelled; and the workers that take them."""

from __future__ import annotations

from collections.abc import Iterable

from compresslab.messages import Message
from compresslab.records.events import Event, Progress
from compresslab.store import OPEN, JobRow, Store, WorkerRow
from compresslab.work import visitors
from compresslab.work.visitors import HERE, Visitor


class Jobs:
    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, job_id: int) -> JobRow:
        """Raises BadInput."""
        return self._store.job(job_id)

    def open(self) -> list[JobRow]:
        """Queued or running, newest first."""
        return self._store.jobs(OPEN)

    def in_states(self, states: Iterable[str]) -> list[JobRow]:
        """Of queued, running, done, failed and cancelled; newest first."""
        return self._store.jobs(states)

    def queue_place(self, job_id: int) -> int:
        """How many jobs come before this one; 0 when it is next or running. Raises BadInput."""
        return self._store.queue_place(job_id)

    def running_longest(self) -> JobRow | None:
        """The running job that those in the queue wait for, None where none runs: a live one is soon over."""
        return self._store.running_longest()

    def progress(self, job_id: int) -> Progress | None:
        """What the job last said of how far it is; None before it says so."""
        return self._store.progress(job_id)

    def events(self, job_id: int, after: int = 0) -> list[tuple[int, Event]]:
        """Events with a number greater than `after`, in order: a cursor that loses nothing."""
        return self._store.events(job_id, after)

    def refusal(self, job: JobRow, by: Visitor) -> Message | None:
        """Why a visitor may not stop a job; None where they may."""
        return visitors.refusal(self._store, by, job.owner)

    def cancel(self, job_id: int, *, by: Visitor = HERE) -> None:
        """A queued job ends at once, a running one soon, an ended one stays as it is. Raises BadInput, also where it is
        not for this visitor to do."""
        visitors.check(self._store, by, self._store.job(job_id).owner)
        self._store.request_cancel(job_id)

    def renew(self, job_id: int) -> None:
        """Say that somebody still waits for a live job: it has its turn only while somebody does."""
        self._store.renew(job_id)

    def workers(self) -> list[WorkerRow]:
        """Those alive, the longest-serving first."""
        return self._store.workers()
