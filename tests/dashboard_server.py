"""The product as a user starts it: `compresslab dashboard` with a data folder of its own, and visitors to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from compresslab.workspace import Workspace
from playwright.sync_api import Browser

from tests.patience import eventually
from tests.studio_page import StudioPage, visitor

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "compresslab")
END_SECONDS = 60.0
AT_WORK, AT_REST = 0.05, 0.15  # seconds of what is slowed


@dataclass(frozen=True)
class Dashboard:
    """A running product: launcher, Streamlit server, worker and its warm child, and the store that they share."""

    url: str
    home: Path
    launcher: subprocess.Popen[bytes]
    workspace: Workspace

    @property
    def server(self) -> psutil.Process:
        return self._process("compresslab_dashboard")

    @property
    def worker(self) -> psutil.Process:
        return self._process("compresslab.work.worker")

    @property
    def child(self) -> psutil.Process:
        return self._process("compresslab.work.child")

    def ready(self) -> bool:
        """A worker that has loaded the model and has nothing to do."""
        assert self.launcher.poll() is None, f"The launcher ended.\n{self.log()}"
        return any(worker.state == "idle" for worker in self.workspace.jobs.workers())

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted((self.home / "logs").glob("*.log")))

    def _process(self, name: str) -> psutil.Process:
        """The one whose command line names it; one that ended a moment ago is still listed and has none."""
        for process in psutil.Process(self.launcher.pid).children(recursive=True):
            with suppress(psutil.Error):
                if name in process.cmdline():
                    return process
        raise AssertionError(f"There is no {name} process.\n{self.log()}")


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One for all tests of a module: starting it takes as long as many of them."""
    with running_dashboard(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def studio(dashboard: Dashboard, browser: Browser) -> Iterator[StudioPage]:
    """A first-time visitor's browser, nothing opened in it yet."""
    with visitor(browser, dashboard.url) as one:
        yield one


@contextmanager
def running_dashboard(home: Path, command: Sequence[str] = COMMAND, **options: Any) -> Iterator[Dashboard]:
    """Started, ready for work, and ended with everything that it started."""
    with started_dashboard(home, command, **options) as dashboard:
        eventually(dashboard.ready, lambda: f"No worker got ready.\n{dashboard.log()}")
        yield dashboard


@contextmanager
def slowed(process: psutil.Process) -> Iterator[None]:
    """It works a quarter of the time: however slow the page is, it can be watched and stopped in the middle."""
    over = threading.Event()
    process.suspend()

    def turns() -> None:
        with suppress(psutil.Error):  # it may end meanwhile
            while not over.wait(AT_REST):
                process.resume()
                time.sleep(AT_WORK)
                process.suspend()

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(psutil.Error):
            process.resume()


@contextmanager
def started_dashboard(home: Path, command: Sequence[str] = COMMAND, **options: Any) -> Iterator[Dashboard]:
    """Only just started: whether it answers is for the caller to see. `options` are those of a process."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = {"cwd": ROOT, "env": dict(os.environ)} | options
    options["env"] |= {"COMPRESSLAB_HOME": str(home), "COMPRESSLAB_STORE": ""}
    with (home / "launcher.log").open("wb") as log:
        launcher = subprocess.Popen(
            [*command, "dashboard", "--no-browser", "--port", str(port)], stdout=log, stderr=log, **options
        )
    try:
        yield Dashboard(f"http://localhost:{port}", home, launcher, Workspace(f"sqlite:///{home / 'store.db'}"))
    finally:
        _end(launcher)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(launcher: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; what is left after that is killed, so that no test leaves anything behind."""
    family = psutil.Process(launcher.pid).children(recursive=True) if launcher.poll() is None else []
    launcher.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(END_SECONDS)
    for process in [*family, launcher]:
        with suppress(psutil.Error, ProcessLookupError):
            process.kill()
    launcher.wait()
