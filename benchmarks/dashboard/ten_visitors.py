"""Ten people at once beside a running job: each moves a slider, in live mode, at the same time as the others.

Their ten browsers stand on the machine of the server and of the job, which ten people's do not: this is the worst case.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from playwright.sync_api import Browser

from benchmarks.dashboard.one_visitor import LONG, drag, end_jobs, size_is_new, turns
from benchmarks.dashboard.stopwatch import read
from benchmarks.report import spread
from core.recipe import Recipe
from dashboard.sketch import from_short
from tests.dashboard_server import Dashboard, wait_for
from tests.studio_page import visitor

VISITORS, ROUNDS = 10, 6


def ten_visitors(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    job = dashboard.workspace.submit(long_recipe())
    wait_for(lambda: dashboard.workspace.job(job).state == "running", 60, dashboard.log)
    with ExitStack() as stack:
        studios = [stack.enter_context(visitor(browser, dashboard.url)) for _ in range(VISITORS)]
        for studio in studios:
            studio.open("quantize_rtn")
        waits = []
        for bits in turns(ROUNDS):
            for studio in studios:
                drag(studio, bits, {"estimate": size_is_new(studio)})
            waits += [read(studio.page)["estimate"] for studio in studios]
        memory = dashboard.server.memory_full_info()
        assert dashboard.workspace.job(job).state == "running", "The job must have been there all the time."
        end_jobs(dashboard)
    return {
        "ten_sessions_slider_to_estimate_seconds": spread(waits),
        "ten_sessions_memory_bytes": memory.rss,
        "ten_sessions_memory_of_its_own_bytes": memory.uss,
    }


def long_recipe() -> Recipe:
    return from_short(LONG, Recipe().model)
