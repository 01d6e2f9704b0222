"""The History and Explore with a thousand runs: from the click on the page's name to its table and all its points."""

from __future__ import annotations

from typing import Any

from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord
from playwright.sync_api import Browser

from benchmarks.dashboard.pages import NAMES, drawn
from benchmarks.dashboard.stopwatch import arm, read
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import StudioPage, keyed, settle, visitor

RUNS, VISITS = 1000, 5
PATIENCE_SECONDS = 240.0  # for a real run
BITS = (2, 3, 4, 5, 6, 8)


def thousand_runs(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    seed(dashboard)
    with visitor(browser, dashboard.url) as studio:
        studio.open("quantize_rtn", live="off")
        history = [visit(studio, "history", ready_history()) for _ in range(VISITS)]
        explore = [visit(studio, "explore", points("chart_pareto")) for _ in range(VISITS)]
    return {
        "thousand_runs": {
            "history_seconds": spread(history),
            "history_first_seconds": history[0],
            "explore_seconds": spread(explore),
            "explore_first_seconds": explore[0],
        }
    }


def seed(dashboard: Dashboard) -> None:
    """A real run, and as many more of its like with other settings and numbers."""
    workspace = dashboard.workspace
    job = workspace.submit(Recipe.from_dict({"steps": ["quantize_rtn"]}))
    eventually(lambda: workspace.jobs.find(job).over, dashboard.log)
    real = workspace.runs.all(limit=1)[0]
    for number in range(RUNS - len(workspace.runs.all(limit=RUNS))):
        workspace.store.save_run(like(real, number))


def like(real: RunRecord, number: int) -> RunRecord:
    recipe = Recipe.from_dict(real.recipe).assign(f"quantize_rtn.bits={BITS[number % len(BITS)]}").replace(seed=number)
    share, worse = 0.1 + number / 1500, number % 97 / 10
    measurements = [
        m.model_copy(update={"value": m.value * share})
        if m.metric == "size_on_disk_bytes" and m.variant == "compressed"
        else m.model_copy(update={"change": worse})
        if m.metric == "perplexity" and m.change is not None
        else m
        for m in real.measurements
    ]
    minute, second = divmod(number, 60)
    changed = {
        "run_id": f"bench{number:07d}",
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.content_hash,
        "created": f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:{second:02d}+00:00",
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


def points(key: str) -> str:
    return f"document.querySelectorAll('[class*=st-key-{key}] .scatterlayer .point').length >= {RUNS}"


def ready_history() -> str:
    return f"document.querySelector('.st-key-runs canvas')?.width && {points('runs_chart')}"
