"""The warm child: runs the worker's jobs one by one and keeps models loaded in between.

Newline-JSON over the pipes. In, from the worker: {"type": "job", "job": 3, "payload": {...}} and {"type": "cancel",
"job": 3}; the end of the pipe means that the worker is gone. Out: "ready" with the device, "beat" every second, "begun"
when a job's turn has come, "event" with a body of compresslab.records.events, and "end" with state, error and, after a
run or an export, its record.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol, TextIO, cast

from compresslab.errors import BadInput, Cancelled, CompresslabError, RunFailed
from compresslab.exports.format import Exporter
from compresslab.files.paths import keep_private
from compresslab.messages import Message, plain
from compresslab.models import hub
from compresslab.profiles import layer_profile, sensitivity_store
from compresslab.profiles.probes import probes
from compresslab.recipes.generation_request import GenerateRequest
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Event, to_json
from compresslab.records.results import RunRecord, Stage
from compresslab.work import exporting, processes
from compresslab.work.jobs import (
    DownloadJob,
    ExportJob,
    GenerateJob,
    Job,
    ProfileJob,
    RunJob,
    SensitivityJob,
    WarmJob,
    parse,
)

BEAT_SECONDS = 1.0
SESSION = "compresslab.engine.session:Session"

Report = Callable[[Event], None]
Cancel = Callable[[], bool]


class ChildSession(sensitivity_store.Meter, layer_profile.Profiler, Exporter, Protocol):
    """What the child asks of the engine's Session."""

    @property
    def device(self) -> str: ...

    def warm(self, model: str) -> None: ...

    def run(self, recipe: Recipe, *, run_id: str, stage: Stage, report: Report, cancelled: Cancel) -> RunRecord: ...

    def generate(self, request: GenerateRequest, *, report: Report, cancelled: Cancel) -> None: ...


class Pipe:
    """The way out to the worker; threads may share it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"type": kind, **fields}) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


class Inbox:
    """What the worker wants: the jobs in order, and which of them are cancelled."""

    def __init__(self, stream: TextIO) -> None:
        self.jobs: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
        self.cancelled: set[int] = set()
        self._stream = stream

    def listen(self) -> None:
        for line in self._stream:
            message = json.loads(line)
            if message["type"] == "cancel":
                self.cancelled.add(message["job"])
            else:
                self.jobs.put((message["job"], message["payload"]))
        os._exit(0)  # the worker is gone; nobody would hear the result


def carry_out(session: ChildSession, job: Job, report: Report, cancelled: Cancel) -> dict[str, str]:
    """What is to be kept of it, as JSON by the name of a field of the "end" message."""
    if isinstance(job, RunJob):
        recipe = Recipe.from_dict(job.recipe)
        record = session.run(recipe, run_id=job.run_id, stage=job.stage, report=report, cancelled=cancelled)
        return {"record": record.to_json()}
    if isinstance(job, ExportJob):
        return {"export": exporting.export(session, job, report, cancelled).model_dump_json()}
    if isinstance(job, GenerateJob):
        session.generate(job.request, report=report, cancelled=cancelled)
    elif isinstance(job, SensitivityJob):
        sensitivity_store.measure(session, Recipe.from_dict(job.recipe), probes(METHODS.values()), report, cancelled)
    elif isinstance(job, ProfileJob):
        layer_profile.measure(session, Recipe.from_dict(job.recipe), job.run, report, cancelled)
    elif isinstance(job, WarmJob):
        session.warm(job.model)
    elif isinstance(job, DownloadJob):
        hub.download(job.model, report, cancelled, job.most_bytes)
    return {}


def outcome(session: ChildSession, payload: dict[str, Any], report: Report, cancelled: Cancel) -> dict[str, Any]:
    """How the job ended, as the fields of an "end" message; whatever goes wrong, the child lives on."""
    try:
        if cancelled():
            raise Cancelled
        return {"state": "done", **carry_out(session, parse(payload), report, cancelled)}
    except Cancelled as reason:
        return {"state": "cancelled", "error": reason.message.to_json()}
    except (BadInput, RunFailed) as error:
        return {"state": "failed", "error": error.message.to_json()}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 a defect of ours, or a panic of native code, which is no Exception
        traceback.print_exc()
        said = plain(str(error).rstrip("."))
        return {
            "state": "failed",
            "error": Message("job.crashed", kind=type(error).__name__, reason=said).to_json(),
        }


def serve(session: ChildSession, inbox: Inbox, pipe: Pipe) -> None:
    while True:
        number, payload = inbox.jobs.get()
        print(f"{time.strftime('%F %T')} job {number}: {payload['kind']}", file=sys.stderr, flush=True)

        def report(event: Event, number: int = number) -> None:
            pipe.send("event", job=number, body=to_json(event))

        def cancelled(number: int = number) -> bool:
            return number in inbox.cancelled

        pipe.send("begun", job=number)
        pipe.send("end", job=number, **outcome(session, payload, report, cancelled))


def warm(session: ChildSession, model: str) -> None:
    """Get the first model ready; that it can't be is for the job that wants it to say."""
    try:
        session.warm(model)
    except CompresslabError as error:
        print(f"{model} was not warmed: {error}", file=sys.stderr, flush=True)


class _Log(io.TextIOBase):
    """Standard error; where its disk is full the line is lost, and not the job that printed it."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))
        return len(text)

    def fileno(self) -> int:
        return 2


def _own_stdout() -> TextIO:
    """The pipe to the worker; from now on whatever is printed goes to the log instead."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = cast(TextIO, _Log())
    return pipe


def _beat(pipe: Pipe) -> None:
    while True:
        pipe.send("beat")
        time.sleep(BEAT_SECONDS)


def _session(where: str) -> ChildSession:
    module, _, name = where.partition(":")
    session: ChildSession = getattr(importlib.import_module(module), name)()
    return session


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m compresslab.work.child", description="Started by the worker, not by hand."
    )
    parser.add_argument("--session", default=SESSION, metavar="MODULE:CLASS", help="what runs the jobs")
    parser.add_argument("--warm", metavar="MODEL", help="load this model before the first job")
    options = parser.parse_args()
    keep_private()
    processes.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this process
    pipe, inbox = Pipe(_own_stdout()), Inbox(sys.stdin)
    for task in (inbox.listen, lambda: _beat(pipe)):  # before the imports below, which take seconds
        threading.Thread(target=task, daemon=True).start()
    session = _session(options.session)
    if options.warm:
        warm(session, options.warm)
    pipe.send("ready", device=session.device)
    serve(session, inbox, pipe)


if __name__ == "__main__":
    main()
