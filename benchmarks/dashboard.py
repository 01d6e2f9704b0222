"""How long a person waits at the dashboard: the real product, driven by mouse in a real Chromium, timed in the page."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, expect, sync_playwright

from benchmarks.report import spread, write
from core.launcher import LOCAL
from core.paths import home
from scripts.browser import find_or_install
from tests.chromium import FLAGS
from tests.dashboard_server import START_SECONDS, Dashboard, started_dashboard, wait_for
from tests.studio_page import StudioPage, keyed, visitor

STARTS, ESTIMATES, CLICKS, RELOADS = 3, 30, 4, 3
GROUPS = (0, 128)  # with every bit width, each a recipe that was not measured before
BITS = (8, 5, 2, 6, 3, 7, 4)
LONG = "distill_logits,steps=5000,batch=1"

SIZE = "document.querySelector('.verdict article .after')?.textContent"
QUALITY = "[...document.querySelectorAll('.verdict article')][1]?.querySelector('.chip.draft')"
BAR = "document.querySelector('.st-key-status [role=progressbar]')"
STOPPING = "document.querySelector('.st-key-stop button')?.disabled"

# Milliseconds from the next event of that kind to the first frame that shows each of what is waited for.
STOPWATCH = """([event, awaited]) => {
  let begin = null;
  addEventListener(event, () => (begin ??= performance.now()), { capture: true, once: true });
  const open = Object.entries(awaited).map(([name, read]) => [name, new Function("return " + read)]);
  window.waited = {};
  const frame = () => {
    while (begin !== null && open.length && open[0][1]()) window.waited[open.shift()[0]] = performance.now() - begin;
    window.finished = open.length === 0;
    if (open.length) requestAnimationFrame(frame);
  };
  window.finished = false;
  requestAnimationFrame(frame);
}"""
# Set up before anything of the page runs: its clock starts with the navigation.
BACK = f"""(() => {{
  const frame = () => {BAR} ? (window.back = performance.now()) : requestAnimationFrame(frame);
  requestAnimationFrame(frame);
}})()"""


def main() -> None:
    figures: dict[str, Any] = {"unit": "seconds", "start_seconds": spread(list(starts(home() / "starts")))}
    with sync_playwright() as playwright, started_dashboard(home() / "product") as dashboard:
        browser = playwright.chromium.launch(executable_path=find_or_install(), args=FLAGS)
        wait_for(dashboard.ready, START_SECONDS, dashboard.log)
        figures |= one_visitor(browser, dashboard)
        figures["torch_imported"] = any("torch" in file.path for file in dashboard.server.memory_maps())
        browser.close()
    print(write("dashboard", figures))


def starts(folder: Path) -> Iterator[float]:
    """From the command to a server that answers."""
    for number in range(STARTS):
        begin = time.perf_counter()
        with started_dashboard(folder / str(number)) as dashboard:
            wait_for(lambda url=dashboard.url: answers(url), START_SECONDS, dashboard.log)
            yield time.perf_counter() - begin


def answers(url: str) -> bool:
    try:
        with LOCAL.open(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


# -- one person ------------------------------------------------------------------------------------------------


def one_visitor(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    with visitor(browser, dashboard.url) as studio:
        studio.open("quantize_rtn", live="off")
        estimates = [slide(studio, bits, {"estimate": size_is_new(studio)}) for bits in turns(ESTIMATES)]
        memory = resident(dashboard.server)
        drafts = [waited for group in GROUPS for waited in first_drafts(studio, group)]
        clicks = [stop_and_go(studio, dashboard) for _ in range(CLICKS)]
        reloads = [reload_in_mid_job(browser, dashboard) for _ in range(RELOADS)]
    return {
        "slider_to_estimate_seconds": spread([waited["estimate"] for waited in estimates]),
        "slider_to_first_draft_seconds": spread([waited["draft"] for waited in drafts]),
        "compress_to_acknowledged_seconds": spread([start for start, _, _ in clicks]),
        "stop_to_acknowledged_seconds": spread([stop for _, stop, _ in clicks]),
        "stop_to_stopped_seconds": spread([stopped for _, _, stopped in clicks]),
        "reload_to_view_seconds": spread(reloads),
        "memory_bytes": memory,
    }


def turns(count: int) -> list[int]:
    """Bit widths, no two the same in a row."""
    return [BITS[number % len(BITS)] for number in range(count)]


def size_is_new(studio: StudioPage) -> str:
    before = studio.card("size").locator(".after").inner_text()
    return f"({SIZE} ?? {json.dumps(before)}) !== {json.dumps(before)}"


def first_drafts(studio: StudioPage, group: int) -> Iterator[dict[str, float]]:
    """The worker is warm: what the visit itself asks for is measured before the first slider moves."""
    studio.open(f"quantize_rtn,group_size={group};recipe,seed=1")
    studio.expect_stage("quality", "draft")
    for bits in BITS[:-1]:  # the visit had the last
        yield slide(studio, bits, {"estimate": size_is_new(studio), "draft": QUALITY})


def slide(studio: StudioPage, bits: int, awaited: dict[str, str]) -> dict[str, float]:
    """Drag the thumb of the bit width there and let go at once; seconds from the letting go."""
    thumb = studio.slider("quantize.bits")
    track = keyed(studio.page, "step.quantize.bits").get_by_role("group").locator("> div").bounding_box()
    low, high = (int(thumb.get_attribute(end) or 0) for end in ("min", "max"))
    assert track

    def point(value: int) -> tuple[float, float]:
        return track["x"] + track["width"] * (value - low) / (high - low), track["y"] + track["height"] / 2

    mouse = studio.page.mouse
    mouse.move(*point(int(thumb.input_value())))
    arm(studio, "pointerup", awaited)
    mouse.down()
    mouse.move(*point(bits), steps=4)
    mouse.up()
    waited = read(studio)
    expect(thumb).to_have_value(str(bits))
    return waited


def stop_and_go(studio: StudioPage, dashboard: Dashboard) -> tuple[float, float, float]:
    """Compress to a bar; Stop to its answer; Stop to the end of the job."""
    studio.open(LONG, live="off")
    expect(studio.button("compress")).to_be_enabled()
    arm(studio, "click", {"bar": BAR})
    studio.button("compress").click()
    started = read(studio)["bar"]
    studio.expect_status("stage.distill_logits")
    arm(studio, "click", {"stopping": STOPPING, "stopped": f"!({BAR})"})
    studio.button("stop").click()
    stopped = read(studio)
    return started, stopped["stopping"], stopped["stopped"]


def reload_in_mid_job(browser: Browser, dashboard: Dashboard) -> float:
    """From the navigation to the bar of the job that goes on."""
    with visitor(browser, dashboard.url) as studio:
        studio.open(LONG, live="off")
        studio.button("compress").click()
        studio.expect_status("stage.distill_logits")
        studio.page.add_init_script(BACK)
        studio.page.reload()
        studio.page.wait_for_function("window.back")
        seconds = float(studio.page.evaluate("window.back")) / 1000
        end_jobs(dashboard)
        return seconds


def end_jobs(dashboard: Dashboard) -> None:
    for job in dashboard.workspace.jobs():
        dashboard.workspace.cancel(job.id)
    wait_for(lambda: not dashboard.workspace.jobs(), 30, lambda: "A job did not stop.")


def resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


# -- the stopwatch ---------------------------------------------------------------------------------------------


def arm(studio: StudioPage, event: str, awaited: dict[str, str]) -> None:
    studio.page.evaluate(STOPWATCH, [event, awaited])


def read(studio: StudioPage) -> dict[str, float]:
    """Seconds, in the order in which they were awaited."""
    studio.page.wait_for_function("window.finished")
    return {name: milliseconds / 1000 for name, milliseconds in studio.page.evaluate("window.waited").items()}


if __name__ == "__main__":
    main()
