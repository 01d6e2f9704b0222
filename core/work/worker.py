"""The worker: claims jobs, has its warm children do them, writes down what they report and how they end. No torch."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Sequence

from compresslab.errors import CompresslabError
from compresslab.files.locks import quiet_lock
from compresslab.files.paths import keep_private, store_url
from compresslab.store import Store
from compresslab.work import leftovers, processes
from compresslab.work.plugins import left_out
from compresslab.work.reaper import Reaper
from compresslab.work.seat import USUAL, Limits, Seat
from compresslab.work.second_child import SecondChild
from compresslab.work.warm_child import COMMAND
from filelock import Timeout

TURN_SECONDS = 0.05  # events are written, and cancels heard, so often
BEAT_SECONDS = 1.0
REAP_SECONDS = 2.0
TIDY_SECONDS = 60.0
CLEAN_SECONDS = 600.0
LOG = logging.getLogger("compresslab.worker")


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
    """One supervisor with a child for every job, and a second one for those who would wait behind a long one. Any
    number of workers may share a store."""

    def __init__(self, store: Store, command: Sequence[str] = COMMAND, limits: Limits = USUAL) -> None:
        self.store = store
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self.main = Seat(store, self.worker_id, command, limits)
        self.beside = SecondChild(store, self.main, Seat(store, self.worker_id, command, limits))
        self._stopping = False
        self._told = ""  # the state that the store knows of
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
        if not self.main.filled():
            time.sleep(TURN_SECONDS)
        self._take()
        seats = self._seats
        for seat in seats:
            seat.turn(TURN_SECONDS / len(seats))

    @property
    def _seats(self) -> list[Seat]:
        """The second one only while it has a child."""
        second = self.beside.seat
        return [self.main] if second.child is None else [self.main, second]

    def _beat(self) -> None:
        """Once a second, and at once when there is something new to say."""
        busy = any(seat.doing for seat in self._seats)
        device = self.main.device
        state = "busy" if busy else "idle" if device else "starting"
        due = self._beat_due.now()
        if not due and state == self._told:
            return
        self._told = state
        host, pid = socket.gethostname(), os.getpid()
        self.store.beat(self.worker_id, host=host, pid=pid, device=device, state=state, process=self._process)

    def _take(self) -> None:
        """The next job for a child that has nothing to do."""
        if self.main.free() and not self._others_race():
            row = self.store.claim(self.worker_id)
            if row is not None:
                self.beside.give_way(row)
                self.main.begin(row)
        waiting = self.beside.look()
        if waiting is not None and not self._others_race():
            row = self.store.claim(self.worker_id, waiting.id)
            if row is not None:
                self.beside.seat.begin(row)

    def _others_race(self) -> bool:
        """Whether models are timed on this machine: what begins now would be in their numbers."""
        try:
            with self._quiet.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _return_unknown(self) -> None:
        """A claim whose answer was lost on its way from the database is ours, and we know nothing of it."""
        known = {seat.doing.row.id for seat in self._seats if seat.doing is not None}
        for row in self.store.running_of(self.worker_id):
            if row.id not in known:
                LOG.warning("job %d was claimed unheard; it goes back into the queue", row.id)
                self.store.put_back(row.id, self.worker_id)

    def _close(self) -> None:
        for seat in self._seats:
            seat.end_child()
        try:
            for seat in self._seats:
                seat.leave()
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
