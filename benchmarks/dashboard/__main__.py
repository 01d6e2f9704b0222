"""`python -m benchmarks.dashboard`: starts, one person, live charts, the pages, long lists, many people at once.

Goals are set for `--only visitors --idle --sessions 30 100 --interval 10` and `--only many_runs --runs 20000`.
"""

from __future__ import annotations

import argparse
import os
import time
import urllib.error
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from compresslab.files.paths import home
from compresslab.work.launcher import LOCAL
from playwright.sync_api import Browser, sync_playwright

from benchmarks.dashboard.live_charts import live_charts
from benchmarks.dashboard.many_runs import many_runs
from benchmarks.dashboard.one_visitor import one_visitor
from benchmarks.dashboard.pages import pages
from benchmarks.dashboard.visitors import Crowd, visitors
from benchmarks.report import spread, write
from scripts.browser import find_or_install
from tests.chromium import FLAGS
from tests.dashboard_server import Dashboard, started_dashboard
from tests.patience import eventually

STARTS = 3
Part = Callable[[Browser, Dashboard], dict[str, Any]]
PARTS = ("one_visitor", "live_charts", "pages", "many_runs", "visitors")


def main() -> None:
    asked = arguments()
    crowds: list[Part] = [
        partial(visitors, people=Crowd(count, asked.interval, not asked.idle)) for count in asked.sessions
    ]
    parts: dict[str, list[Part]] = {
        "one_visitor": [one_visitor],
        "live_charts": [live_charts],
        "pages": [pages],
        "many_runs": [partial(many_runs, runs=count) for count in asked.runs],
        "visitors": crowds,
    }
    figures: dict[str, Any] = {"unit": "seconds", "load_average_at_first": os.getloadavg()[0]}
    if not asked.only:
        figures["start_seconds"] = spread(list(starts(home() / "starts")))
    with sync_playwright() as playwright, started_dashboard(home() / "product") as dashboard:
        browser = playwright.chromium.launch(executable_path=find_or_install(), args=FLAGS)
        eventually(dashboard.ready, dashboard.log)
        for name, part in [(chosen, part) for chosen in asked.only or parts for part in parts[chosen]]:
            begin = time.perf_counter()
            figures |= part(browser, dashboard)
            print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
            figures["torch_imported"] = any("torch" in file.path for file in dashboard.server.memory_maps())
            print(write(asked.name, figures), flush=True)  # what is measured is kept, whatever comes next
        browser.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.dashboard")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts instead of all")
    parser.add_argument("--sessions", nargs="+", type=int, default=[10], help="people at once; several counts in turn")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two moves of one of them")
    parser.add_argument("--idle", action="store_true", help="beside an idle worker, not beside a running job")
    parser.add_argument("--runs", nargs="+", type=int, default=[1000], help="runs in the lists; several counts in turn")
    parser.add_argument("--name", default="dashboard", help="of the file in benchmarks/results")
    return parser.parse_args()


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
