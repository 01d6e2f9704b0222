"""The History and Explore with thousands of runs: from the click on the page's name to its table and all its points."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord
from playwright.sync_api import Browser

from benchmarks.dashboard.pages import NAMES, drawn
from benchmarks.dashboard.stopwatch import arm, read
from benchmarks.report import spread
from tests.dashboard_server import COMMAND, Dashboard
from tests.patience import eventually
from tests.studio_page import StudioPage, keyed, settle, visitor

PAGE, VISITS = 500, 5  # points that a page of the History draws at once
EXPLORED = 1000  # of a model, at the most
BITS = (2, 3, 4, 5, 6, 8)
HOME = "COMPRESSLAB_HOME"


def many_runs(browser: Browser, dashboard: Dashboard, runs: int) -> dict[str, Any]:
    seed(dashboard, runs)
    with visitor(browser, dashboard.url) as studio:
        studio.open("quantize_rtn", live="off")
        history = [visit(studio, "history", ready_history(runs)) for _ in range(VISITS)]
        explore = [visit(studio, "explore", points("chart_pareto", min(runs, EXPLORED))) for _ in range(VISITS)]
    return {
        f"runs_{runs}": {
            "history_seconds": spread(history),
            "history_first_seconds": history[0],
            "explore_seconds": spread(explore),
            "explore_first_seconds": explore[0],
            "command_line": listed(dashboard, runs),
        }
    }


def listed(dashboard: Dashboard, runs: int) -> dict[str, float]:
    """`compresslab runs`, all of them: seconds from the command to its end, and the most memory that it held."""
    command = [*COMMAND, "runs", "--limit", str(runs)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, HOME: str(dashboard.home)}) as process:
        _, status, spent = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return {
        "seconds": seconds,
        "processor_seconds": spent.ru_utime + spent.ru_stime,
        "memory_bytes": 1024 * spent.ru_maxrss,
    }


def seed(dashboard: Dashboard, runs: int) -> None:
    """A real run, and as many more of its like with other settings and numbers."""
    workspace = dashboard.workspace
    if not workspace.runs.count():
        job = workspace.submit(Recipe.from_dict({"steps": ["quantize_rtn"]}))
        eventually(lambda: workspace.jobs.find(job).over, dashboard.log)
    real = next(run for run in workspace.runs.each() if not run.run_id.startswith("bench"))
    for number in range(workspace.runs.count() - 1, runs - 1):
        workspace.store.save_run(like(real, number))


def like(real: RunRecord, number: int) -> RunRecord:
    recipe = Recipe.from_dict(real.recipe).assign(f"quantize_rtn.bits={BITS[number % len(BITS)]}").replace(seed=number)
    share, worse = 0.1 + number % 1350 / 1500, number % 97 / 10
    measurements = [
        m.model_copy(update={"value": m.value * share})
        if m.metric == "size_on_disk_bytes" and m.variant == "compressed"
        else m.model_copy(update={"change": worse})
        if m.metric == "perplexity" and m.change is not None
        else m
        for m in real.measurements
    ]
    day, minute, second = number // 3600, number // 60 % 60, number % 60
    changed = {
        "run_id": f"bench{number:07d}",
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.content_hash,
        "created": f"2026-01-{1 + day:02d}T00:{minute:02d}:{second:02d}+00:00",
        "measurements": measurements,
    }
    return real.model_copy(update=changed)


def visit(studio: StudioPage, page: str, ready: str) -> float:
    """From the Studio, and back to it."""
    settle(studio.page)
    arm(studio.page, "click", {"all": ready})
    go(studio, page)
    waited = read(studio.page)["all"]
    go(studio, "studio")
    keyed(studio.page, "compress").first.wait_for()
    studio.page.wait_for_function(drawn("studio"))
    return waited


def go(studio: StudioPage, page: str) -> None:
    studio.page.get_by_role("link", name=NAMES(f"page.{page}"), exact=True).click()


def points(key: str, count: int) -> str:
    return f"document.querySelectorAll('[class*=st-key-{key}] .scatterlayer .point').length >= {count}"


def ready_history(runs: int) -> str:
    return f"document.querySelector('.st-key-runs canvas')?.width && {points('runs_chart', min(runs, PAGE))}"
