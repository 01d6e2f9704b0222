"""The dashboard as people start it: its launcher and its server are struck while a job is under way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.request import urlopen

import psutil
from compresslab.work import launcher

from benchmarks.chaos import damage
from benchmarks.chaos.arena import DEAD, ROOT, Arena
from benchmarks.chaos.phases import begin
from tests.patience import PATIENCE, eventually

ENDED = ("done", "failed", "cancelled", "queued")


class House:
    def __init__(self, place: Arena) -> None:
        self.place = place
        self.port = launcher.free_port(None)
        with place.log.open("ab") as log:
            self.launcher = subprocess.Popen(
                [sys.executable, "-m", "compresslab", "dashboard", "--port", str(self.port), "--no-browser"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def server(self) -> psutil.Process:
        return eventually(lambda: self._named("compresslab_dashboard"))[0]

    def _named(self, module: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.launcher.pid).children():
            with suppress(psutil.Error):
                if module in process.cmdline() and process.status() not in DEAD:
                    found.append(process)
        return found

    def answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self) -> None:
        self.launcher.terminate()
        self.launcher.wait(PATIENCE)


def _server_dies(number: signal.Signals) -> Callable[[House], None]:
    def strike(house: House) -> None:
        server = house.server
        server.send_signal(number)
        eventually(lambda: server not in house._named("compresslab_dashboard"))

    return strike


def _server_freezes(house: House) -> None:
    server = house.server
    server.suspend()
    eventually(lambda: server.status() == psutil.STATUS_STOPPED)
    server.resume()


def _launcher_freezes(house: House) -> None:
    launcher_ = psutil.Process(house.launcher.pid)
    launcher_.suspend()
    eventually(lambda: launcher_.status() == psutil.STATUS_STOPPED)
    launcher_.resume()


def _launcher_dies(number: signal.Signals) -> Callable[[House], None]:
    def strike(house: House) -> None:
        house.launcher.send_signal(number)
        house.launcher.wait(PATIENCE)

    return strike


FAULTS: dict[str, Callable[[House], None]] = {
    "server killed": _server_dies(signal.SIGKILL),
    "server terminated": _server_dies(signal.SIGTERM),
    "server frozen": _server_freezes,
    "launcher frozen": _launcher_freezes,
    "launcher killed": _launcher_dies(signal.SIGKILL),
    "launcher terminated": _launcher_dies(signal.SIGTERM),
}


def strikes(place: Arena, count: int, seed: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    house: House | None = None
    names = [list(FAULTS)[number % len(FAULTS)] for number in range(count)]
    for name in names:
        begun_at, cost = time.monotonic(), damage.Damage()
        house = house or House(place)
        try:
            eventually(house.answers)
            begun = begin(place, "solving", chance)
            FAULTS[name](house)
            cost = _cost(place, house, begun.jobs)
        except Exception as error:  # noqa: BLE001 whatever does not come to its end is a loss too
            cost.lost.append(f"{type(error).__name__}: {error}"[:2000])
        if house.launcher.poll() is not None:
            house = None
        seconds = round(time.monotonic() - begun_at, 2)
        yield {"phase": "solving", "fault": name, "reached": True, "seconds": seconds, **vars(cost)}
    if house is not None:
        house.end()


def _cost(place: Arena, house: House, jobs: list[int]) -> damage.Damage:
    def states() -> list[str]:
        return [place.store.job(job).state for job in jobs]

    if house.launcher.poll() is None:
        eventually(house.answers)
        eventually(lambda: all(place.store.job(job).over for job in jobs))
        return damage.Damage(lost=[f"a job is {state}" for state in states() if state != "done"])
    cost = damage.Damage(orphans=_stay(place))
    cost.lost += [f"a job stays {state}" for state in states() if state not in ENDED]
    if not launcher._is_free(house.port):
        cost.left_over.append(f"port {house.port}")
    return cost


def _stay(place: Arena) -> list[str]:
    """All go with the launcher."""
    try:
        eventually(lambda: not place.ours(), patience=60.0)
    except AssertionError:
        return [f"{process.pid} {process.name()}" for process in place.ours() if process.pid != os.getpid()]
    return []
