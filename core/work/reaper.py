"""Jobs whose worker is gone are ended, and said why. Nobody's wall clock decides who is gone: the process table does on
this machine, and elsewhere that a heartbeat stands still while somebody watches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable

from compresslab.messages import Message
from compresslab.store import STALE_SECONDS, JobRow, Store, WorkerRow
from compresslab.store.runs import remove_folder
from compresslab.work import jobs, processes

SURE_SECONDS = 5.0  # several beats: what looks dead by the clock, or belongs to nobody, is watched for so long
STEP_SECONDS = 2.5  # the most that passes between two looks: who was frozen itself has seen nothing meanwhile
KILLED = Message("worker.crashed")


class Watch:
    """How long things have stood still under our eyes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._watched = 0.0
        self._seen: dict[Hashable, tuple[object, float]] = {}

    def look(self, now: Iterable[tuple[Hashable, object]]) -> dict[Hashable, float]:
        """Seconds of watching since each name had another value; a name that is new, or was away, starts at 0."""
        moment = self._clock()
        self._watched += min(moment - self._last, STEP_SECONDS)
        self._last = moment
        before, self._seen = self._seen, {}
        for name, value in now:
            known = before.get(name)
            self._seen[name] = known if known is not None and known[0] == value else (value, self._watched)
        return {name: self._watched - since for name, (_, since) in self._seen.items()}


class Reaper:
    """Looks now and then for workers that are gone, and never at the one that it belongs to."""

    def __init__(self, store: Store, own: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._own = own
        self._watch = Watch(clock)

    def look(self) -> list[int]:
        """Fail the running jobs whose worker is gone, saying so; returns their numbers."""
        workers = [worker for worker in self._store.workers(stale=True) if worker.worker_id != self._own]
        orphans = [job for job in self._store.orphans() if job.worker_id != self._own]
        still = self._watch.look(
            [*((worker.worker_id, worker.heartbeat) for worker in workers), *((job.id, None) for job in orphans)]
        )
        lost = [job for job in orphans if still[job.id] >= SURE_SECONDS]
        reaped = [job for job in lost if _fail(self._store, job, Message("worker.gone"))]
        for worker in workers:
            reason = _gone(worker, still[worker.worker_id])
            if reason:
                reaped += _strike_off(self._store, worker, reason)
        return [job.id for job in reaped]


def process_died(store: Store, pid: int, reason: Message = KILLED) -> None:
    """Strike a worker process of this machine off at once: who started it saw it die, and need not wait."""
    for worker in store.workers(stale=True):
        if worker.pid == pid and processes.is_here(worker.process, worker.host):
            _strike_off(store, worker, reason)


def silent(host: str, seconds: float) -> Message:
    return Message("worker.silent", host=host, seconds=seconds)


def _gone(worker: WorkerRow, still: float) -> Message | None:
    lives = processes.lives(worker.pid, worker.process, worker.host)
    if lives is False:
        return KILLED
    patience = STALE_SECONDS if worker.alive or lives else SURE_SECONDS
    return silent(worker.host, still if lives else max(still, worker.age)) if still >= patience else None


def _strike_off(store: Store, worker: WorkerRow, reason: Message) -> list[JobRow]:
    """Off the list first: whoever sees the job failed no longer sees the worker."""
    running = store.running_of(worker.worker_id)
    store.forget_worker(worker.worker_id)
    return [job for job in running if _fail(store, job, reason)]


def _fail(store: Store, job: JobRow, reason: Message) -> bool:
    if job.cancel_reason is not None:
        finished = store.finish(job.id, "cancelled", job.cancel_reason)
    else:
        finished = store.finish(job.id, "failed", Message("job.submit_again", reason=reason))
    if finished and job.run_id:
        remove_folder(job.run_id)
    if finished:
        jobs.put_back(store, job)
    return finished
