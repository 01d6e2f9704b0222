"""Many people at once: each moves a slider again and again, on a clock of its own, while the worker works or idles.

Their browsers stand on machines of their own, and ten of them on this one would measure Chromium. So one visitor is a
browser, which tells what a person sees; the others are sessions like its own that are drawn nowhere.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import start_blocking_portal
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.recipe.sketch import from_short
from playwright.sync_api import Browser, WebSocket
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: TID251 - to hear what the browser says
from streamlit.proto.ClientState_pb2 import ClientState  # noqa: TID251

from benchmarks.dashboard.one_visitor import BITS, LONG, end_jobs, size_is_new, slide, turns
from benchmarks.dashboard.wire_visitor import WireVisitor, wire_visitor
from benchmarks.report import spread
from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import StudioPage, settle, visitor

MOVES = 300  # of all together, but no fewer than the slider has places
FIRST_BITS = 3
SLIDER = "step.quantize.bits"


@dataclass(frozen=True)
class Crowd:
    """So many people; each moves a slider, waits for the answer, and moves it again `interval` seconds after the last
    time. Busy: a long job runs, live checks are on, and everybody's draft waits behind it. Else the worker idles."""

    sessions: int
    interval: float
    busy: bool

    @property
    def name(self) -> str:
        return f"{self.sessions}_{'busy' if self.busy else 'idle'}"


def visitors(browser: Browser, dashboard: Dashboard, people: Crowd) -> dict[str, Any]:
    job = dashboard.workspace.submit(long_recipe()) if people.busy else None
    if job is not None:
        eventually(lambda: dashboard.workspace.jobs.find(job).state == "running", dashboard.log)
    with visitor(browser, dashboard.url) as studio, start_blocking_portal() as portal:
        said = first_move(studio, "on" if people.busy else "off")
        with portal.wrap_async_context_manager(crowd(studio.page.url, said, people)) as others:
            begin = time.perf_counter() + people.interval
            before = used(dashboard)
            answers = portal.start_task_soon(slide_all, others, begin, people)
            paints = [paint(studio, bits, at) for bits, at in moves(begin, people)]
            waits = answers.result()
            memory, processor = dashboard.server.memory_full_info(), used(dashboard) - before
        if job is not None:
            assert dashboard.workspace.jobs.find(job).state == "running", "The job must have been there all the time."
            end_jobs(dashboard)
    return {
        f"sessions_{people.name}": {
            "slider_to_estimate_seconds": spread(paints),
            "slider_to_answer_seconds": spread(waits),
            "moves": len(paints) + len(waits),
            "move_interval_seconds": people.interval,
            "server_processor_seconds_a_move": processor / (len(paints) + len(waits)),
            "load_average_after": os.getloadavg()[0],
            "memory_bytes": memory.rss,
            "memory_of_its_own_bytes": memory.uss,
        }
    }


def used(dashboard: Dashboard) -> float:
    """Seconds of the processor that the server has taken: other work on the machine changes them little."""
    times = dashboard.server.cpu_times()
    return times.user + times.system


def long_recipe() -> Recipe:
    return from_short(LONG, Recipe().model)


def moves(begin: float, people: Crowd) -> list[tuple[int, float]]:
    """Bit widths, and the moments to move the slider there."""
    rounds = max(len(BITS), MOVES // people.sessions)
    return [(bits, begin + number * people.interval) for number, bits in enumerate(turns(rounds))]


# -- the browser -----------------------------------------------------------------------------------------------


def first_move(studio: StudioPage, live: str) -> ClientState:
    """What the browser says when the slider is moved: all its widgets, and where it stands."""
    sent: list[ClientState] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(BackMsg.FromString(frame).rerun_script))

    studio.page.on("websocket", listen)
    studio.open("quantize_rtn", live=live)
    settle(studio.page)
    slide(studio, FIRST_BITS, {"estimate": size_is_new(studio)})
    settle(studio.page)  # its address says so too
    return next(state for state in reversed(sent) if not state.fragment_id)


def paint(studio: StudioPage, bits: int, at: float) -> float:
    """Seconds from the letting go of the slider, at that moment, to the frame that shows another size."""
    studio.page.wait_for_timeout(1000 * max(0.0, at - time.perf_counter()))
    return slide(studio, bits, {"estimate": size_is_new(studio)})["estimate"]


# -- the others --------------------------------------------------------------------------------------------


@asynccontextmanager
async def crowd(link: str, said: ClientState, people: Crowd) -> AsyncIterator[list[WireVisitor]]:
    """They come one after the other, by a link to what the browser has on its screen."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(wire_visitor(link, said)) for _ in range(people.sessions - 1)]


async def slide_all(others: list[WireVisitor], begin: float, people: Crowd) -> list[float]:
    """Their clocks are spread evenly over the interval, the browser's first."""
    phases = [people.interval * number / people.sessions for number in range(1, people.sessions)]
    each = [slide_on(other, begin + phase, people) for other, phase in zip(others, phases, strict=True)]
    return [seconds for of_one in await asyncio.gather(*each) for seconds in of_one]


async def slide_on(other: WireVisitor, begin: float, people: Crowd) -> list[float]:
    waits, sizes = [], set()
    for bits, at in moves(begin, people):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        waits.append(await other.slide(SLIDER, bits))
        sizes.add(other.size)
    assert len(sizes) == len(BITS), f"Every bit width has a size of its own, and these came: {sizes}"
    assert other.polls or not people.busy, "The draft that waits behind the job is asked for, as a browser would."
    return waits
