"""How old the live chart of the loss is: from the event's row in the store to the frame that draws its point."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from compresslab.records.events import Loss
from playwright.sync_api import Browser

from benchmarks.dashboard.one_visitor import LONG, end_jobs
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import visitor

WATCHED_SECONDS = 12.0
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.01  # between two looks into the store: the ages are too small by at most that
# The steps that the chart ends at, and when it was first seen to do so: milliseconds since 1970.
_FRAMES = """() => {
  window.drawn = [];
  const frame = () => {
    const plot = document.querySelector(".st-key-chart_loss .js-plotly-plot");
    const last = Math.max(0, ...(plot?.data ?? []).map((trace) => trace.x.at(-1) ?? 0));
    const now = performance.timeOrigin + performance.now();
    if (last && last !== window.drawn.at(-1)?.[0]) window.drawn.push([last, now]);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def live_charts(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    with visitor(browser, dashboard.url) as studio:
        studio.open(LONG, live="off")
        studio.page.evaluate(_FRAMES)
        studio.button("compress").click()
        studio.expect_status("stage.distill_logits")
        with written(dashboard) as events:
            time.sleep(WATCHED_SECONDS)
            drawn: list[tuple[int, float]] = studio.page.evaluate("window.drawn")
        end_jobs(dashboard)
    return {"live_chart_age_seconds": spread(ages(events, drawn))}


@contextmanager
def written(dashboard: Dashboard) -> Iterator[dict[int, float]]:
    """Fills up with the step of every loss and when it was first found in the store: seconds since 1970."""
    job = max(job.id for job in dashboard.workspace.jobs.open())
    steps: dict[int, float] = {}
    over = threading.Event()

    def watch() -> None:
        cursor = max((number for number, _ in dashboard.workspace.jobs.events(job)), default=0)
        while not over.wait(LOOK_SECONDS):
            for number, event in dashboard.workspace.jobs.events(job, cursor):
                cursor = number
                if isinstance(event, Loss):
                    steps[event.step] = time.time()

    watcher = threading.Thread(target=watch)
    watcher.start()
    eventually(lambda: steps, lambda: "The job reports no loss.")
    try:
        yield steps
    finally:
        over.set()
        watcher.join()


def ages(events: dict[int, float], drawn: list[tuple[int, float]]) -> list[float]:
    """Of every point, when it was drawn: with the first frame that shows its step or a later one."""
    found = []
    for step, at in events.items():
        frame = next((milliseconds / 1000 for last, milliseconds in drawn if last >= step), None)
        if frame is not None:
            found.append(max(0.0, frame - at))
    return found
