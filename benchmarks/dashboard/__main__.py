"""`python -m benchmarks.dashboard`: starts, one person, live charts, the pages, a thousand runs, ten people at once."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from compresslab.files.paths import home
from compresslab.work.launcher import LOCAL
from playwright.sync_api import sync_playwright

from benchmarks.dashboard.live_charts import live_charts
from benchmarks.dashboard.one_visitor import one_visitor
from benchmarks.dashboard.pages import pages
from benchmarks.dashboard.ten_visitors import ten_visitors
from benchmarks.dashboard.thousand_runs import thousand_runs
from benchmarks.report import spread, write
from scripts.browser import find_or_install
from tests.chromium import FLAGS
from tests.dashboard_server import started_dashboard
from tests.patience import eventually

STARTS = 3


def main() -> None:
    figures: dict[str, Any] = {"unit": "seconds", "start_seconds": spread(list(starts(home() / "starts")))}
    with sync_playwright() as playwright, started_dashboard(home() / "product") as dashboard:
        browser = playwright.chromium.launch(executable_path=find_or_install(), args=FLAGS)
        eventually(dashboard.ready, dashboard.log)
        for part in (one_visitor, live_charts, pages, thousand_runs, ten_visitors):
            begin = time.perf_counter()
            figures |= part(browser, dashboard)
            print(f"{part.__name__}: {time.perf_counter() - begin:.0f} s", flush=True)
            figures["torch_imported"] = any("torch" in file.path for file in dashboard.server.memory_maps())
            print(write("dashboard", figures), flush=True)  # what is measured is kept, whatever comes next
        browser.close()


def starts(folder: Path) -> Iterator[float]:
    """From the command to a server that answers."""
    for number in range(STARTS):
        begin = time.perf_counter()
        with started_dashboard(folder / str(number)) as dashboard:
            eventually(partial(answers, dashboard.url), dashboard.log)
            yield time.perf_counter() - begin


def answers(url: str) -> bool:
    try:
        with LOCAL.open(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
