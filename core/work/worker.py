"""The worker: claims jobs, has its warm child do them, writes down what they report and how they end. No torch."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compresslab.errors import BadInput, CompresslabError
from compresslab.files.locks import quiet_lock
from compresslab.files.paths import keep_private, store_url
from compresslab.messages import Message
from compresslab.records.results import ExportRecord, RunRecord
from compresslab.store import JobRow, State, Store
from compresslab.store.runs import remove_folder
from compresslab.work import jobs, leftovers, limits, processes
from compresslab.work.plugins import left_out
from compresslab.work.reaper import Reaper
from compresslab.work.warm_child import COMMAND, WarmChild
from filelock import Timeout

TURN_SECONDS = 0.05  # events are written, and cancels heard, so often
BEAT_SECONDS = 1.0
REAP_SECONDS = 2.0
QUIET_SECONDS = 5.0  # a child that was silent for so long gets no job until it is heard again
MOST_RETURNED = 2  # times that a job which no child began goes back into the queue
TIDY_SECONDS = 60.0
CLEAN_SECONDS = 600.0
LOG = logging.getLogger("compresslab.worker")


@dataclass(frozen=True)
class Limits:
    """Seconds after which the child is killed."""

    after_cancel: float = 2.5  # still busy with a job that it was told to stop
    without_beat: float = 120.0  # no sign of life at all
    without_event: float = 1800.0  # alive, but the job reports nothing


@dataclass
class Doing:
    """The job at hand."""

    row: JobRow
    heard: float  # when it last reported, by the monotonic clock
    events: list[str]  # reported and not in the store yet
    begun: bool = False  # the child has said so
    stopped: float | None = None  # when the child was told to stop
    ended: dict[str, Any] | None = None  # the child's last word on it


class Due:
    """Says yes once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("-inf")

    def now(self) -> bool:
        if time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True


class Worker:
    """One supervisor with one child. Any number of workers may share a store."""

    def __init__(self, store: Store, command: Sequence[str] = COMMAND, limits: Limits = Limits()) -> None:
        self.store = store
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self._command = command
        self._limits = limits
        self._child: WarmChild | None = None
        self._device = ""  # known as soon as the child is ready
        self._doing: Doing | None = None
        self._stillborn = 0  # children in a row that died before they were ready
        self._next_start = 0.0
        self._stopping = False
        self._told = ""  # the state that the store knows of
        self._returned: Counter[int] = Counter()  # by job
        self._process = processes.identity(os.getpid())
        self._reaper = Reaper(store, self.worker_id)
        self._quiet = quiet_lock()
        self._beat_due, self._reap_due = Due(BEAT_SECONDS), Due(REAP_SECONDS)
        self._tidy_due, self._clean_due = Due(TIDY_SECONDS), Due(CLEAN_SECONDS)

    def stop(self) -> None:
        """Let `run` return soon; safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until `stop`. A store that fails for a while is tried again."""
        LOG.info("worker %s on %s", self.worker_id, self.store.database.name)
        try:
            while not self._stopping:
                try:
                    self._turn()
                except CompresslabError as error:
                    LOG.warning("%s Trying again.", error)
                    time.sleep(0.5)
        finally:
            self._close()

    def _turn(self) -> None:
        self._beat()
        if self._reap_due.now():
            self._reaper.look()
            self._return_unknown()
        if self._tidy_due.now():
            self.store.purge_runs()
            self.store.sweeps.purge()
            self.store.prune_events()
            self.store.end_of_absent()
        if self._clean_due.now():
            leftovers.tidy(self.store)
        child = self._living_child()
        if child is None:
            time.sleep(TURN_SECONDS)
            return
        if self._doing is None:
            self._take(child)
        for message in child.receive(TURN_SECONDS):
            self._hear(message)
        if self._doing is not None:
            self._write_events(self._doing)
            self._watch(child, self._doing)
        if child.dead:
            self._bury(child)

    def _beat(self) -> None:
        """Once a second, and at once when there is something new to say."""
        state = "busy" if self._doing else "idle" if self._device else "starting"
        due = self._beat_due.now()
        if not due and state == self._told:
            return
        self._told = state
        host, pid = socket.gethostname(), os.getpid()
        self.store.beat(self.worker_id, host=host, pid=pid, device=self._device, state=state, process=self._process)

    # -- the job ------------------------------------------------------------------------

    def _take(self, child: WarmChild) -> None:
        """The next job, for a child that is awake; one that froze while it had nothing to do costs nobody a job."""
        if child.silent > self._limits.without_beat:
            return child.kill()
        awake = child.silent < QUIET_SECONDS and not child.dead
        row = self.store.claim(self.worker_id) if awake and not self._others_race() else None
        if row is not None:
            LOG.info("job %d: %s %s", row.id, row.kind, row.stage or "")
            self._doing = Doing(row, time.monotonic(), [])
            child.send("job", row.id, payload=row.payload | self._allowance(row))
        return None

    def _allowance(self, row: JobRow) -> dict[str, Any]:
        """Known only now: downloads of the same visitor may have gone before."""
        if row.kind != "download":
            return {}
        try:
            return {"most_bytes": limits.bytes_left(self.store, row.owner)}
        except BadInput:  # somebody wrote a slip into the settings since
            return {"most_bytes": limits.DOWNLOAD_BYTES.default}

    def _others_race(self) -> bool:
        """Whether models are timed on this machine: what begins now would be in their numbers."""
        try:
            with self._quiet.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _return_unknown(self) -> None:
        """A claim whose answer was lost on its way from the database is ours, and we know nothing of it."""
        for row in self.store.running_of(self.worker_id):
            if self._doing is None or row.id != self._doing.row.id:
                LOG.warning("job %d was claimed unheard; it goes back into the queue", row.id)
                self.store.put_back(row.id, self.worker_id)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "ready":
            self._device, self._stillborn = message["device"], 0
            LOG.info("child is ready on %s", self._device)
        doing = self._doing
        if doing is None or message.get("job") != doing.row.id:
            return
        doing.heard, doing.begun = time.monotonic(), True
        if message["type"] == "event":
            doing.events.append(message["body"])
        elif message["type"] == "end":
            doing.ended = message

    def _write_events(self, doing: Doing) -> None:
        batch = list(doing.events)
        self.store.append_events(doing.row.id, batch)
        del doing.events[: len(batch)]

    def _watch(self, child: WarmChild, doing: Doing) -> None:
        """End the job when it has ended, stop it when someone asked for that, kill the child when it does not obey."""
        if doing.ended is not None:
            return self._end(doing)
        row = self.store.job(doing.row.id)
        now = time.monotonic()
        if doing.stopped is None and (row.cancel_reason is not None or row.over):
            doing.stopped = now
            child.send("cancel", row.id)
        reason = self._lost_patience(child, doing, now)
        if reason:
            child.kill()
            self._give_up(doing, reason)
        return None

    def _lost_patience(self, child: WarmChild, doing: Doing, now: float) -> Message | None:
        limits = self._limits
        if doing.stopped is not None and now - doing.stopped > limits.after_cancel:
            return Message("job.did_not_stop")
        if child.silent > limits.without_beat:
            return Message("child.froze", seconds=limits.without_beat)
        if now - doing.heard > limits.without_event:
            return Message("job.no_progress", minutes=limits.without_event / 60)
        return None

    def _end(self, doing: Doing) -> None:
        """Keep the record, then say that the job is done: who sees it done finds the run."""
        assert doing.ended is not None
        state, said = doing.ended["state"], doing.ended.get("error")
        error = None if said is None else Message.from_json(said)
        if not self.store.job(doing.row.id).over:
            try:
                self._keep(doing.row, doing.ended)
            except CompresslabError as failure:
                state, error = (
                    "failed",
                    Message("job.not_kept", kind=Message(f"kind.{doing.row.kind}"), reason=failure.message),
                )
        self._finish(doing, state, error)

    def _keep(self, row: JobRow, ended: dict[str, Any]) -> None:
        """Raises CompresslabError."""
        record, exported = ended.get("record"), ended.get("export")
        if record and (row.stage == "final" or row.sweep is not None):
            self.store.save_run(RunRecord.model_validate_json(record), row.id)
        if exported:
            self.store.add_export(row.payload["run"]["run_id"], ExportRecord.model_validate_json(exported))

    def _finish(self, doing: Doing, state: State, error: Message | None) -> None:
        """Whatever ends a job that was asked to stop, short of success, it is cancelled for the reason given then."""
        reason = self.store.job(doing.row.id).cancel_reason
        if reason is not None and state != "done":
            state, error = "cancelled", reason
        finished = self.store.finish(doing.row.id, state, error)
        if doing.row.run_id and not (finished and state == "done"):
            remove_folder(doing.row.run_id)  # a child that was killed could not tidy up
        LOG.info("job %d: %s %s", doing.row.id, state, error or "")
        self._doing = None

    def _fail(self, doing: Doing, reason: Message) -> None:
        self._finish(doing, "failed", reason)

    def _give_up(self, doing: Doing, reason: Message) -> None:
        """Fail the job; one that the child had not begun goes back into the queue, a few times at most."""
        job_id = doing.row.id
        if doing.begun or self._returned[job_id] == MOST_RETURNED:
            return self._fail(doing, reason)
        self._returned[job_id] += 1
        self.store.put_back(job_id, self.worker_id)
        LOG.info("job %d had not begun and goes back into the queue: %s", job_id, reason)
        self._doing = None
        return None

    # -- the child ----------------------------------------------------------------------

    def _living_child(self) -> WarmChild | None:
        """The child, started if there is none; None while one that dies at once is given time."""
        if self._child is None and time.monotonic() >= self._next_start:
            self._child = WarmChild(self._command)
        return self._child

    def _bury(self, child: WarmChild) -> None:
        """Fail the job that the child died of; the next child comes at once, unless they die before they are ready."""
        death = child.bury()
        LOG.warning("child %d %s", child.pid, death)
        leftovers.remove_of(child.pid)
        if not self._device:
            self._stillborn += 1
            self._next_start = time.monotonic() + min(30.0, 2.0**self._stillborn)
        if self._doing is not None:
            in_vain = death.code == "child.exit_code" and not self._device  # the next one would end so too
            (self._fail if in_vain else self._give_up)(self._doing, Message("child.ended", how=death))
        self._child, self._device = None, ""

    def _close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.bury()
        try:
            if self._doing is not None:
                row = self._doing.row
                self._give_up(self._doing, Message("worker.stopped"))
                left = self.store.job(row.id)
                if left.state == "failed":
                    jobs.put_back(self.store, left)
            self.store.forget_worker(self.worker_id)
        except CompresslabError as error:
            LOG.warning("%s", error)


def serve(*, follow: bool = False) -> None:
    """A worker in the foreground, until Ctrl-C or SIGTERM; with `follow` also until standard input ends. Raises
    CompresslabError when there is no store."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    keep_private()
    left_out()  # each is logged when it is found: here, where the log begins
    worker = Worker(Store(store_url()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if follow:
        processes.when_parent_ends(worker.stop)
    worker.run()


if __name__ == "__main__":
    serve(follow=processes.FOLLOW in sys.argv)
