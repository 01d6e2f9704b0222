"""A seat at the worker's desk: a warm child and the job that it is at, from the claim to the last word. No torch."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from compresslab.errors import BadInput, CompresslabError
from compresslab.messages import Message
from compresslab.recipes import memory
from compresslab.records.results import ExportRecord, RunRecord
from compresslab.store import JobRow, State, Store
from compresslab.store.runs import remove_folder
from compresslab.work import jobs, leftovers, limits
from compresslab.work.warm_child import COMMAND, WarmChild

QUIET_SECONDS = 5.0  # a child that was silent for so long gets no job until it is heard again
MOST_RETURNED = 2  # times that a job which no child began goes back into the queue
LOG = logging.getLogger("compresslab.worker")


@dataclass(frozen=True)
class Limits:
    """Seconds after which the child is killed."""

    after_cancel: float = 2.5  # still busy with a job that it was told to stop
    without_beat: float = 120.0  # no sign of life at all
    without_event: float = 1800.0  # alive, but the job reports nothing


USUAL = Limits()


@dataclass
class Doing:
    """The job at hand."""

    row: JobRow
    since: float = field(default_factory=time.monotonic)  # by the monotonic clock, as the times below
    heard: float = field(default_factory=time.monotonic)  # when it last reported
    events: list[str] = field(default_factory=list)  # reported and not in the store yet
    begun: bool = False  # the child has said so
    stopped: float | None = None  # when the child was told to stop
    ended: dict[str, Any] | None = None  # the child's last word on it


class Seat:
    """One child, which does one job at a time; started when it is asked for."""

    def __init__(self, store: Store, worker_id: str, command: Sequence[str] = COMMAND, limits: Limits = USUAL) -> None:
        self.limits = limits
        self.child: WarmChild | None = None
        self.device = ""  # known as soon as the child is ready
        self.doing: Doing | None = None
        self.next_start = 0.0
        self._store = store
        self._worker_id = worker_id
        self._command = command
        self._stillborn = 0  # children in a row that died before they were ready
        self._returned: Counter[int] = Counter()  # by job

    def filled(self) -> bool:
        """Whether there is a child, started if there is none; not while one that dies at once is given time."""
        if self.child is None and time.monotonic() >= self.next_start:
            self.child = WarmChild(self._command)
        return self.child is not None

    def free(self) -> bool:
        """Whether it can be given a job: one that froze while it had nothing to do costs nobody a job."""
        child = self.child
        if child is None or self.doing is not None:
            return False
        if child.silent > self.limits.without_beat:
            child.kill()
        return child.silent < QUIET_SECONDS and not child.dead

    @property
    def held(self) -> int:
        """Bytes that the child holds of models and caches: the next job takes them over."""
        return 0 if self.child is None else memory.kept_by(self.child.pid)

    def begin(self, row: JobRow) -> None:
        """Have the child do a job that was claimed."""
        assert self.child is not None
        LOG.info("job %d: %s %s", row.id, row.kind, row.stage or "")
        self.doing = Doing(row)
        self.child.send("job", row.id, payload=row.payload | self._allowance(row))

    def _allowance(self, row: JobRow) -> dict[str, Any]:
        """Known only now: downloads of the same visitor may have gone before."""
        if row.kind != "download":
            return {}
        try:
            return {"most_bytes": limits.bytes_left(self._store, row.owner)}
        except BadInput:  # somebody wrote a slip into the settings since
            return {"most_bytes": limits.DOWNLOAD_BYTES.default}

    def turn(self, seconds: float) -> None:
        """Hear the child for so long, write down what it says, and see to it that it obeys and lives."""
        child = self.child
        if child is None:
            return
        for message in child.receive(seconds):
            self._hear(message)
        if self.doing is not None:
            self._write_events(self.doing)
            self._watch(child, self.doing)
        if child.dead:
            self._bury(child)

    def end_child(self) -> None:
        """Whatever it does."""
        if self.child is not None:
            self.child.kill()
            self.child.bury()

    def empty(self) -> None:
        """End a child that has nothing to do: another job needs its memory, or nobody needs it."""
        self.end_child()
        self.child, self.device = None, ""

    def leave(self) -> None:
        """Put back the job that the child was ended at, where it had not begun, and fail it otherwise."""
        if self.doing is not None:
            row = self.doing.row
            self._give_up(self.doing, Message("worker.stopped"))
            left = self._store.job(row.id)
            if left.state == "failed":
                jobs.put_back(self._store, left)

    # -- the job ------------------------------------------------------------------------

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "ready":
            self.device, self._stillborn = message["device"], 0
            LOG.info("child is ready on %s", self.device)
        doing = self.doing
        if doing is None or message.get("job") != doing.row.id:
            return
        doing.heard, doing.begun = time.monotonic(), True
        if message["type"] == "event":
            doing.events.append(message["body"])
        elif message["type"] == "end":
            doing.ended = message

    def _write_events(self, doing: Doing) -> None:
        batch = list(doing.events)
        self._store.append_events(doing.row.id, batch)
        del doing.events[: len(batch)]

    def _watch(self, child: WarmChild, doing: Doing) -> None:
        """End the job when it has ended, stop it when someone asked for that, kill the child when it does not obey."""
        if doing.ended is not None:
            return self._end(doing)
        row = self._store.job(doing.row.id)
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
        patience = self.limits
        if doing.stopped is not None and now - doing.stopped > patience.after_cancel:
            return Message("job.did_not_stop")
        if child.silent > patience.without_beat:
            return Message("child.froze", seconds=patience.without_beat)
        if now - doing.heard > patience.without_event:
            return Message("job.no_progress", minutes=patience.without_event / 60)
        return None

    def _end(self, doing: Doing) -> None:
        """Keep the record, then say that the job is done: who sees it done finds the run."""
        assert doing.ended is not None
        state, said = doing.ended["state"], doing.ended.get("error")
        error = None if said is None else Message.from_json(said)
        if not self._store.job(doing.row.id).over:
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
            self._store.save_run(RunRecord.model_validate_json(record), row.id)
        if exported:
            self._store.add_export(row.payload["run"]["run_id"], ExportRecord.model_validate_json(exported))

    def _finish(self, doing: Doing, state: State, error: Message | None) -> None:
        """Whatever ends a job that was asked to stop, short of success, it is cancelled for the reason given then."""
        reason = self._store.job(doing.row.id).cancel_reason
        if reason is not None and state != "done":
            state, error = "cancelled", reason
        finished = self._store.finish(doing.row.id, state, error)
        if doing.row.run_id and not (finished and state == "done"):
            remove_folder(doing.row.run_id)  # a child that was killed could not tidy up
        LOG.info("job %d: %s %s", doing.row.id, state, error or "")
        self.doing = None

    def _fail(self, doing: Doing, reason: Message) -> None:
        self._finish(doing, "failed", reason)

    def _give_up(self, doing: Doing, reason: Message) -> None:
        """Fail the job; one that the child had not begun goes back into the queue, a few times at most."""
        job_id = doing.row.id
        if doing.begun or self._returned[job_id] == MOST_RETURNED:
            return self._fail(doing, reason)
        self._returned[job_id] += 1
        self._store.put_back(job_id, self._worker_id)
        LOG.info("job %d had not begun and goes back into the queue: %s", job_id, reason)
        self.doing = None
        return None

    def _bury(self, child: WarmChild) -> None:
        """Fail the job that the child died of; the next child comes at once, unless they die before they are ready."""
        death = child.bury()
        LOG.warning("child %d %s", child.pid, death)
        leftovers.remove_of(child.pid)
        if not self.device:
            self._stillborn += 1
            self.next_start = time.monotonic() + min(30.0, 2.0**self._stillborn)
        if self.doing is not None:
            in_vain = death.code == "child.exit_code" and not self.device  # the next one would end so too
            (self._fail if in_vain else self._give_up)(self.doing, Message("child.ended", how=death))
        self.child, self.device = None, ""
