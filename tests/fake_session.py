"""Stands in for the engine's Session in tests of the worker: the recipe's model name says how to behave."""

import os
import sys
import time
from itertools import count

from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.records.events import Notice, PaneDone, PaneStarted, Progress, Token
from compresslab.records.results import Hardware, Measurement, RunRecord

STEP_SECONDS = 0.05  # of a job that goes on until it is stopped
HARDWARE = Hardware(
    device="cpu",
    device_name="fake",
    device_reason="for tests",
    dtype="float32",
    dtype_reason="for tests",
    threads=1,
    memory_bytes=1,
    versions={},
)


def record(run_id, recipe=None, *, value=3.7, created="2026-01-01T00:00:00Z", stage="final", model="storyteller"):
    plain = recipe.to_dict() if recipe else {"model": model}
    return RunRecord(
        run_id=run_id,
        recipe=plain,
        recipe_hash=recipe.content_hash if recipe else "0" * 12,
        model=plain["model"],
        stage=stage,
        created=created,
        seconds=1.0,
        stages={"evaluate": 1.0},
        baseline_hash="a" * 12,
        compressed_hash="b" * 12,
        hardware=HARDWARE,
        measurements=[
            Measurement(metric="perplexity", variant="baseline", value=3.6, unit="", direction="lower"),
            Measurement(metric="perplexity", variant="compressed", value=value, unit="", direction="lower"),
        ],
    )


class FakeSession:
    device = "cpu"

    def warm(self, model):
        print("a stray line on stdout, as libraries write them")

    def run(self, recipe, *, run_id, stage, report, cancelled):
        print("another stray line")
        behaviour = recipe.model.removeprefix("fake/")
        report(Notice(text=behaviour))
        getattr(self, f"_{behaviour}", lambda *_: None)(report, cancelled)
        value = float("nan") if behaviour == "nan" else 3.7
        return record(run_id, recipe, stage=stage, value=value)

    def generate(self, request, *, report, cancelled):
        report(PaneStarted(pane=0, label="baseline", weights_hash="a" * 12))
        for index, word in enumerate(request.prompt.split()):
            report(Token(pane=0, index=index, token_id=index, text=word, seconds=0.1 * index))
        report(PaneDone(pane=0, text=request.prompt, tokens=index + 1, ttft_seconds=0.1, decode_tokens_per_second=9.0))

    def _long(self, report, cancelled):
        """Never ends by itself."""
        for step in count():
            report(Progress(stage="evaluate", done=step, total=step + 1, fraction=0.5))
            if cancelled():
                raise Cancelled
            time.sleep(STEP_SECONDS)

    def _deaf(self, report, cancelled):
        while True:
            time.sleep(STEP_SECONDS)

    def _frozen(self, report, cancelled):
        os.kill(os.getpid(), 19)  # SIGSTOP: not even the heart beats

    def _bad(self, report, cancelled):
        raise BadInput("The text is empty; give another one.")

    def _failing(self, report, cancelled):
        raise RunFailed("The loss is not finite any more; use a smaller learning rate.")

    def _defect(self, report, cancelled):
        raise KeyError("layers.7")

    def _exits(self, report, cancelled):
        sys.stderr.flush()
        os._exit(3)

    def _segfault(self, report, cancelled):
        os.kill(os.getpid(), 11)

    def _oom(self, report, cancelled):
        os.kill(os.getpid(), 9)

    def _many(self, report, cancelled):
        for step in range(5000):
            report(Progress(stage="evaluate", done=step, total=5000))


class BrokenSession:
    """One whose import would fail."""

    def __init__(self):
        raise ImportError("No module named 'torch'")
