"""The pages: a first visit, and the way from one to another by the navigation."""

from __future__ import annotations

from typing import Any

from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser

from benchmarks.dashboard.stopwatch import arm, arrival, expect_arrival, read
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.studio_page import StudioPage, settle, visitor

VISITS, ROUNDS = 4, 2
# What only this page has, and what stands there when it can be used.
SIGNS = {
    "compare": ".st-key-compare_members, .st-key-compare_empty",
    "explore": ".st-key-explore_empty, .st-key-sweep_status",
    "layers": ".st-key-layers_board",
    "history": ".st-key-runs, .st-key-history_empty",
    "models": ".st-key-hub_search",
    "present": ".st-key-present, .st-key-present_empty",
    "studio": ".verdict h2",
}
NAMES = words_of("en")


def pages(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    paints = [first_paint(browser, dashboard) for _ in range(VISITS)]
    with visitor(browser, dashboard.url) as studio:
        studio.open(live="off")
        rounds = [{name: switch(studio, name) for name in SIGNS} for _ in range(ROUNDS)]
    return {
        "first_paint_seconds": spread(paints),
        "page_switch_seconds": {name: spread([one[name] for one in rounds]) for name in SIGNS},
    }


def first_paint(browser: Browser, dashboard: Dashboard) -> float:
    """A browser that was never here: from the address to the verdict."""
    with visitor(browser, dashboard.url) as studio:
        expect_arrival(studio.page, drawn("studio"))
        studio.open(live="off")
        return arrival(studio.page)


def switch(studio: StudioPage, name: str) -> float:
    settle(studio.page)
    arm(studio.page, "click", {"page": drawn(name)})
    studio.page.get_by_role("link", name=NAMES(f"page.{name}"), exact=True).click()
    return read(studio.page)["page"]


def drawn(name: str) -> str:
    return f'document.querySelector("{SIGNS[name]}")?.getClientRects().length'
