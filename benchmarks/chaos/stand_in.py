"""Stands in for the engine: goes through all phases, writes what they write, and waits in the one that is asked for.

`python -m benchmarks.chaos.stand_in` is a worker with such a child; both live by a clock that can be stepped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from compresslab.errors import Cancelled
from compresslab.files.atomic import new_model_folder
from compresslab.files.paths import home, keep_private, run_folder, store_url
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import PaneStarted, Progress
from compresslab.store import Store
from compresslab.work import processes
from compresslab.work.worker import Worker

from benchmarks.chaos import clock
from tests.fake_session import STEP_SECONDS, FakeSession, record

GATE = "CHAOS_GATE"  # names the file that lets go on who waits
HALF = 32 * 1024  # bytes
HALVES = ("first", "second")
PHASES = ("loading", "statistics", "solving", "measuring", "saving", "exporting")
WAITING = "waiting"  # the stage that is reported in the midst of a phase
Cancel = Callable[[], bool]


class StandIn(FakeSession):
    def __init__(self) -> None:
        clock.install()

    def run(self, recipe, *, run_id, stage, report, cancelled):  # type: ignore[no-untyped-def]
        asked = recipe.model.rpartition("/")[2]
        for phase in PHASES:
            report(Progress(stage=phase, done=0, total=1))

            def hold(phase: str = phase) -> None:
                if phase == asked:
                    _wait(report, cancelled)

            _go_through(phase, run_id, hold)
        return record(run_id, recipe, stage=stage)

    def generate(self, request, *, report, cancelled):  # type: ignore[no-untyped-def]
        report(PaneStarted(pane=0, label="baseline", weights_hash="a" * 12))
        _wait(report, cancelled)
        super().generate(request, report=report, cancelled=cancelled)


def places(run_id: str) -> dict[str, Path]:
    return {
        "statistics": home() / "statistics" / run_id,
        "saving": run_folder(run_id),
        "exporting": home() / "exports" / run_id,
    }


def _go_through(phase: str, run_id: str, hold: Callable[[], None]) -> None:
    """Half of what it writes lies there while it waits."""
    folder = places(run_id).get(phase)
    if folder is None:
        return hold()
    with new_model_folder(folder) as part:
        (part / HALVES[0]).write_bytes(b"x" * HALF)
        hold()
        (part / HALVES[1]).write_bytes(b"x" * HALF)
    return None


def _wait(report: Callable[[Progress], None], cancelled: Cancel) -> None:
    report(Progress(stage=WAITING, done=0, total=1))
    while not Path(os.environ[GATE]).exists():
        if cancelled():
            raise Cancelled
        time.sleep(STEP_SECONDS)


def recipe_of(phase: str) -> Recipe:
    return Recipe(model=f"chaos/{phase}")


CHILD = (sys.executable, "-m", "compresslab.work.child", "--session", "benchmarks.chaos.stand_in:StandIn")


def main() -> None:
    keep_private()
    clock.install()
    worker = Worker(Store(store_url()), CHILD)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    processes.when_parent_ends(worker.stop)
    worker.run()


if __name__ == "__main__":
    main()
