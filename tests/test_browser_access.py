"""Whether everybody can use the pages: axe-core on each of them, light and dark, with runs to show."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.dashboard_server import Dashboard
from tests.studio_page import PATIENCE, settle
from tests.test_dashboard_pages import record

PAGES = ("studio", "explore", "layers", "compare", "history", "models", "present")
GRAVE = ("serious", "critical")
# style.css comes by a script that the browser fetches last: on a busy machine, after the page is drawn.
_STYLED = "getComputedStyle(document.querySelector('.stApp')).getPropertyValue('--quiet') !== ''"


@pytest.fixture(scope="module")
def url(dashboard: Dashboard) -> str:
    for number in range(3):
        dashboard.workspace.store.save_run(record(number))
    return dashboard.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_grave_fault(url: str, browser: Browser, name: str, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    try:
        page.goto(f"{url}/{name}?lang=en" + ("&runs=run0000000,run0000001" if name == "compare" else ""))
        _wait_until_drawn(page)
        found = Axe().run(page).response["violations"]
    finally:
        page.close()
    grave = {
        fault["id"]: [node["html"][:300] for node in fault["nodes"]] for fault in found if fault["impact"] in GRAVE
    }
    assert grave == {}


def _wait_until_drawn(page: Page) -> None:
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for(timeout=PATIENCE)
    page.wait_for_function(_STYLED, timeout=PATIENCE)
    settle(page)
