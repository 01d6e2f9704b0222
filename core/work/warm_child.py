"""The worker's end of its child process: start it, talk to it, know whether it lives, say how it died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, Any

from compresslab.files.logs import log_file
from compresslab.messages import Message
from compresslab.models.source import BUNDLED

COMMAND = (sys.executable, "-P", "-m", "compresslab.work.child", "--warm", BUNDLED)


class WarmChild:
    """A running child. Messages are those of compresslab.work.child."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        with log_file("child.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
            )
        self.heard = time.monotonic()  # when it last gave any sign of life
        self._was_told_to_end = False
        self._messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._outgoing: SimpleQueue[str | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader.start()
        self._writer.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def dead(self) -> bool:
        """Ended, and nothing that it said is left to be received."""
        if self._process.poll() is None:
            return False
        self._reader.join(timeout=1)
        return self._messages.empty()

    @property
    def silent(self) -> float:
        """Seconds without a sign of life."""
        return time.monotonic() - self.heard

    def send(self, kind: str, job: int, **fields: Any) -> None:
        """Returns at once: a child that does not read must not stop whoever watches it."""
        self._outgoing.put(json.dumps({"type": kind, "job": job, **fields}) + "\n")

    def receive(self, seconds: float) -> list[dict[str, Any]]:
        """What it says within that time, all at once; sooner when a job has ended."""
        deadline = time.monotonic() + seconds
        received: list[dict[str, Any]] = []
        while True:
            try:
                message = self._messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                return received
            received.append(message)
            if message["type"] == "end" or time.monotonic() >= deadline:
                return received

    def kill(self) -> None:
        self._was_told_to_end = True
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=1)

    def bury(self) -> Message:
        """Close what it left open; why it ended, in words, for the middle of a sentence."""
        code = self._process.wait()
        self._outgoing.put(None)
        self._writer.join(timeout=1)
        if self._was_told_to_end:
            return Message("child.ended_by_worker")
        if code == -signal.SIGKILL:
            return Message("child.killed")
        if code < 0:
            return Message("child.signal", signal=signal.Signals(-code).name)
        return Message("child.exit_code", code=code)

    def _read(self) -> None:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                self.heard = time.monotonic()
                if line.endswith("\n"):  # one that was killed may stop half-way
                    self._messages.put(json.loads(line))

    def _write(self) -> None:
        """A pipe holds 64 KiB: beyond that, a write lasts until the child reads, or is dead."""
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        with suppress(BrokenPipeError), stdin:  # it died: `dead` says so
            while (line := self._outgoing.get()) is not None:
                stdin.write(line)
                stdin.flush()
