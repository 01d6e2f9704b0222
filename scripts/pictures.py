"""Takes the README's pictures of the real product: `python -m scripts.pictures`.

The pages are what a visitor sees after the main job; the ladder's curve is drawn from benchmarks/results/ladder.json.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.browser import find_or_install
from scripts.ladder_picture import RESULTS, ladder_page
from tests.chromium import FLAGS
from tests.dashboard_server import ROOT, running_dashboard
from tests.studio_page import CARDS, PATIENCE, StudioPage, cell, keyed, visitor

PICTURES = ROOT / "docs" / "pictures"
RECIPE = "quantize_rtn,bits=2"
EARLIER = (
    "quantize_rtn,bits=8",
    "quantize_rtn",
    "quantize_rtn,bits=3",
    "prune_magnitude,sparsity=0.2",
    "prune_magnitude,sparsity=0.4",
    "prune_magnitude;quantize_rtn",
)
EXAMPLE = 1  # of assets/evaluation/prompts.json


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_or_install(), args=FLAGS)
        if RESULTS.exists():
            ladder(browser)
        with running_dashboard(Path(folder)) as dashboard:
            running(browser, dashboard.url)
            earlier_runs(browser, dashboard.url)
            address = main_job(browser, dashboard.url)
            again(browser, address, "studio-dark", color_scheme="dark")
            again(browser, address.replace("lang=en", "lang=zh"), "studio-zh")
            history(browser, dashboard.url)
        browser.close()


def take(page: Page, name: str) -> None:
    """Where nothing has the focus and no hint is open."""
    page.mouse.move(720, 1)
    page.evaluate("document.activeElement?.blur()")
    expect(page.get_by_role("tooltip")).to_have_count(0)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB", flush=True)


def running(browser: Browser, url: str) -> None:
    """Three steps under way: the loss has come down, the quality chart is converging."""
    with visitor(browser, url) as studio:
        studio.open("prune_magnitude,sparsity=0.4;distill_logits,steps=40;quantize_rtn", live="off")
        studio.button("compress").click()
        expect(studio.chart("quality")).to_be_visible(timeout=5 * PATIENCE)
        take(studio.page, "studio-running")
        finish(studio)


def earlier_runs(browser: Browser, url: str) -> None:
    """So that the History has something to show."""
    with visitor(browser, url) as studio:
        for recipe in EARLIER:
            studio.open(recipe, live="off")
            studio.button("compress").click()
            finish(studio)


def main_job(browser: Browser, url: str) -> str:
    """Compress, then read both texts; the address of what is on the screen."""
    with visitor(browser, url) as studio:
        studio.open(RECIPE, live="off")
        studio.button("compress").click()
        finish(studio)
        keyed(studio.page, "example").get_by_role("combobox").click()
        studio.page.get_by_role("option").nth(EXAMPLE).click()
        expect(studio.page.get_by_role("option")).to_have_count(0)
        studio.button("generate").click()
        studio.expect_texts()
        expect(studio.page).to_have_url(re.compile("run=.*texts="))
        take(studio.page, "studio-light")
        return studio.page.url


def finish(studio: StudioPage) -> None:
    for card in CARDS:
        studio.expect_stage(card, "final")
    expect(studio.chart("speed")).to_be_visible()


def again(browser: Browser, address: str, name: str, **options: Any) -> None:
    """The same view by its link, in other clothes."""
    with visitor(browser, address, **options) as studio:
        studio.page.goto(address)
        finish(studio)
        studio.expect_texts()
        take(studio.page, name)


def history(browser: Browser, url: str) -> None:
    with visitor(browser, url) as studio:
        studio.page.goto(f"{url}/history")
        expect(cell(keyed(studio.page, "runs"), words_of("en")("step.quantize_rtn", bits=3))).to_be_attached()
        expect(studio.page.locator(".stPlotlyChart svg.main-svg").first).to_be_visible()
        take(studio.page, "history-light")


def ladder(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 520})
    page = context.new_page()
    page.set_content(ladder_page())
    expect(page.locator("svg.main-svg").first).to_be_visible()
    take(page, "ladder")
    context.close()


if __name__ == "__main__":
    main()
