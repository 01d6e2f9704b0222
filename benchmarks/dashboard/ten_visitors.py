"""Ten people at once beside a running job: each moves a slider again and again, in live mode, on a clock of its own.

Ten people's browsers stand on ten machines, and ten of them on this one would measure Chromium. So one visitor is a
browser, which tells what a person sees; the other nine are sessions like its own that are drawn nowhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.recipe.sketch import from_short
from playwright.sync_api import Browser, WebSocket
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: TID251 - to hear what the browser says
from streamlit.proto.ClientState_pb2 import ClientState  # noqa: TID251

from benchmarks.dashboard.one_visitor import LONG, end_jobs, size_is_new, slide, turns
from benchmarks.dashboard.wire_visitor import WireVisitor, wire_visitor
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import StudioPage, settle, visitor

VISITORS, ROUNDS = 10, 30
INTERVAL_SECONDS = 2.0  # between two moves of one visitor
FIRST_BITS = 3
SLIDER = "step.quantize.bits"


def ten_visitors(browser: Browser, dashboard: Dashboard) -> dict[str, Any]:
    job = dashboard.workspace.submit(long_recipe())
    eventually(lambda: dashboard.workspace.jobs.find(job).state == "running", dashboard.log)
    with visitor(browser, dashboard.url) as studio, start_blocking_portal() as portal:
        said = first_move(studio)
        with portal.wrap_async_context_manager(crowd(studio.page.url, said)) as others:
            begin = time.perf_counter() + INTERVAL_SECONDS
            answers = portal.start_task_soon(slide_all, others, begin)
            paints = [paint(studio, bits, at) for bits, at in moves(begin)]
            waits = answers.result()
            memory = dashboard.server.memory_full_info()
        assert dashboard.workspace.jobs.find(job).state == "running", "The job must have been there all the time."
        end_jobs(dashboard)
    return {
        "ten_sessions_slider_to_estimate_seconds": spread(paints),
        "ten_sessions_slider_to_answer_seconds": spread(waits),
        "ten_sessions_moves": len(paints) + len(waits),
        "ten_sessions_move_interval_seconds": INTERVAL_SECONDS,
        "ten_sessions_memory_bytes": memory.rss,
        "ten_sessions_memory_of_its_own_bytes": memory.uss,
    }


def long_recipe() -> Recipe:
    return from_short(LONG, Recipe().model)


def moves(begin: float) -> list[tuple[int, float]]:
    """Bit widths, and the moments to move the slider there."""
    return [(bits, begin + number * INTERVAL_SECONDS) for number, bits in enumerate(turns(ROUNDS))]


# -- the browser -----------------------------------------------------------------------------------------------


def first_move(studio: StudioPage) -> ClientState:
    """What the browser says when the slider is moved: all its widgets, and where it stands."""
    sent: list[ClientState] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(BackMsg.FromString(frame).rerun_script))

    studio.page.on("websocket", listen)
    studio.open("quantize_rtn")
    settle(studio.page)
    slide(studio, FIRST_BITS, {"estimate": size_is_new(studio)})
    settle(studio.page)  # its address says so too
    return next(state for state in reversed(sent) if not state.fragment_id)


def paint(studio: StudioPage, bits: int, at: float) -> float:
    """Seconds from the letting go of the slider, at that moment, to the frame that shows another size."""
    studio.page.wait_for_timeout(1000 * max(0.0, at - time.perf_counter()))
    return slide(studio, bits, {"estimate": size_is_new(studio)})["estimate"]


# -- the other nine --------------------------------------------------------------------------------------------


@asynccontextmanager
async def crowd(link: str, said: ClientState) -> AsyncIterator[list[WireVisitor]]:
    """They come one after the other, by a link to what the browser has on its screen."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(wire_visitor(link, said)) for _ in range(VISITORS - 1)]


async def slide_all(others: list[WireVisitor], begin: float) -> list[float]:
    """Their clocks are spread evenly over the interval, the browser's first."""
    phases = [INTERVAL_SECONDS * number / VISITORS for number in range(1, VISITORS)]
    waits = await asyncio.gather(*(slide_on(other, begin + phase) for other, phase in zip(others, phases, strict=True)))
    return [seconds for of_one in waits for seconds in of_one]


async def slide_on(other: WireVisitor, begin: float) -> list[float]:
    waits, sizes = [], set()
    for bits, at in moves(begin):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        waits.append(await other.slide(SLIDER, bits))
        sizes.add(other.size)
    assert len(sizes) == len(set(turns(ROUNDS))), f"Every bit width has a size of its own, and these came: {sizes}"
    assert other.polls, "The draft that waits behind the job is asked for, as a browser would."
    return waits
