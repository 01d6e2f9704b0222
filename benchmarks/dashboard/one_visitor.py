"""One person at the Studio: sliders, Compress and Stop, a reload in the middle of a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, expect

from benchmarks.dashboard.stopwatch import arm, arrival, expect_arrival, read
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import StudioPage, keyed, settle, visitor

ESTIMATES, CLICKS, RELOADS = 30, 6, 3
GROUPS = (0, 128)  # with every bit width, each a recipe that was not measured before
BITS = (8, 5, 2, 6, 3, 7, 4)
LONG = "distill_logits,steps=5000,batch=1"

SIZE = "document.querySelector('.verdict article .after')?.textContent"
QUALITY = "[...document.querySelectorAll('.verdict article')][1]?.querySelector('.chip.draft')"
BAR = "document.querySelector('.st-key-status [role=progressbar]')"
STOPPING = "document.querySelector('.st-key-stop button')?.disabled"
WRITING = "[...document.querySelectorAll('.st-key-answers *')].some((e) => "
WRITING += "e.shadowRoot?.querySelector('.pane.waiting, .pane.writing'))"
HEARD = "document.querySelector('.st-key-%s button')?.disabled || "  # now and then the page itself is quicker


def one_visitor(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    with visitor(browser, dashboard.url) as studio:
        studio.open("quantize_rtn", live="off")
        settle(studio.page)
        estimates = [slide(studio, bits, {"estimate": size_is_new(studio)}) for bits in turns(ESTIMATES)]
        memory = dashboard.server.memory_info().rss
        drafts = [waited for group in GROUPS for waited in first_drafts(studio, group)]
        clicks = [stop_and_go(studio) | write_texts(studio) for _ in range(CLICKS)]
        reloads = [reload_in_mid_job(browser, dashboard) for _ in range(RELOADS)]
    return {
        "slider_to_estimate_seconds": spread([waited["estimate"] for waited in estimates]),
        "slider_to_first_draft_seconds": spread([waited["draft"] for waited in drafts]),
        **{f"{name}_seconds": spread([waited[name] for waited in clicks]) for name in clicks[0]},
        "reload_to_view_seconds": spread(reloads),
        "memory_bytes": memory,
    }


# -- sliders ---------------------------------------------------------------------------------------------------


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
    drag(studio, bits, awaited)
    waited = read(studio.page)
    expect(studio.slider("quantize.bits")).to_have_value(str(bits))
    return waited


def drag(studio: StudioPage, bits: int, awaited: dict[str, str]) -> None:
    """Only the hand's part: the stopwatch runs when it is done."""
    thumb = studio.slider("quantize.bits")
    track = keyed(studio.page, "step.quantize.bits").get_by_role("group").locator("> div").bounding_box()
    low, high = (int(thumb.get_attribute(end) or 0) for end in ("min", "max"))
    assert track

    def point(value: int) -> tuple[float, float]:
        return track["x"] + track["width"] * (value - low) / (high - low), track["y"] + track["height"] / 2

    mouse = studio.page.mouse
    mouse.move(*point(int(thumb.input_value())))
    arm(studio.page, "pointerup", awaited)
    mouse.down()
    mouse.move(*point(bits), steps=4)
    mouse.up()


# -- buttons ---------------------------------------------------------------------------------------------------


def stop_and_go(studio: StudioPage) -> dict[str, float]:
    """Compress to its answer, and to the bar; Stop to its answer, and to the end of the job."""
    studio.open(LONG, live="off")
    settle(studio.page)
    arm(studio.page, "click", {"compress_to_acknowledged": HEARD % "compress" + BAR, "compress_to_bar": BAR})
    studio.button("compress").click()
    started = read(studio.page)
    studio.expect_status("stage.distill_logits")
    arm(studio.page, "click", {"stop_to_acknowledged": STOPPING, "stop_to_stopped": f"!({BAR})"})
    studio.button("stop").click()
    return started | read(studio.page)


def write_texts(studio: StudioPage) -> dict[str, float]:
    """Generate to its answer, and to panes that say that they are to be written."""
    studio.open("quantize_rtn", live="off")
    settle(studio.page)
    arm(studio.page, "click", {"generate_to_acknowledged": HEARD % "generate" + WRITING, "generate_to_panes": WRITING})
    studio.button("generate").click()
    waited = read(studio.page)
    studio.expect_texts()
    return waited


def reload_in_mid_job(browser: Browser, dashboard: Dashboard) -> float:
    """From the navigation to the bar of the job that goes on."""
    with visitor(browser, dashboard.url) as studio:
        studio.open(LONG, live="off")
        studio.button("compress").click()
        studio.expect_status("stage.distill_logits")
        expect_arrival(studio.page, BAR)
        studio.page.reload()
        seconds = arrival(studio.page)
        end_jobs(dashboard)
        return seconds


def end_jobs(dashboard: Dashboard) -> None:
    for job in dashboard.workspace.jobs.open():
        dashboard.workspace.jobs.cancel(job.id)
    eventually(lambda: not dashboard.workspace.jobs.open(), lambda: "A job did not stop.")
