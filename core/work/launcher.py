"""`compresslab dashboard`: the worker and the Streamlit server together, started, watched over and ended as one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil
from compresslab.errors import BadInput, CompresslabError, RunFailed
from compresslab.files.paths import FOLDERS, home, store_url
from compresslab.store import Store
from compresslab.work import jobs, sign_in
from compresslab.work.warm_child import log_file

PYTHON = (sys.executable, "-P", "-m")  # what lies in the folder that people are in stays out of our imports
FIRST_PORT, PORTS = 8501, 100
HERE, EVERYWHERE = ("localhost", "127.0.0.1", "::1"), ("0.0.0.0", "::")
START_SECONDS, END_SECONDS = 180.0, 6.0
STEADY_SECONDS = 60.0  # a worker that ran for so long did not die of how it was started
STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business on this machine

Say = Callable[[str], None]


def serve(port: int | None, *, host: str, folders: Sequence[str], browser: bool, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises BadInput (port taken, store unusable, sign-in set up wrong) and RunFailed
    (server died).

    People from elsewhere may read the `folders` of this machine and no others, whatever they name as a model or text.
    """
    if folders or host not in HERE:
        os.environ[FOLDERS] = os.pathsep.join(str(Path(folder).expanduser().resolve()) for folder in folders)
    asked_in = sign_in.is_required()
    store = Store(store_url())
    _refuse_freer_worker(store)
    chosen = free_port(port)
    if port is None and chosen != FIRST_PORT:
        say(f"Port {FIRST_PORT} is taken; using {chosen}.")
    with _stop_signals():
        worker = WorkerProcess(store, say)
        server = _start_server(host, chosen)
        try:
            worker.keep()
            url = f"http://{'localhost' if host in (*HERE, *EVERYWHERE) else host}:{chosen}"
            _wait_until_up(server, url)
            say(f"compresslab is at {url} (data in {home()}). Ctrl-C ends it.")
            if asked_in:
                say(f"Everybody signs in first, as {sign_in.secrets_file()} says.")
            if browser and _has_display():
                webbrowser.open(url)
            while server.poll() is None:
                worker.keep()
                time.sleep(0.2)
            raise RunFailed(_ended(server))
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C would leave processes behind
            worker.end()
            _end(server)


def _refuse_freer_worker(store: Store) -> None:
    """A worker that was started for this machine alone reads what its user may read: no guest's work is for it."""
    for worker in store.workers() if FOLDERS in os.environ else []:
        with suppress(psutil.Error):
            if worker.host == socket.gethostname() and _limits(worker.pid) != os.environ[FOLDERS]:
                raise BadInput("server.other_folders", folder=home(), process=worker.pid)


def _limits(pid: int) -> str | None:
    return psutil.Process(pid).environ().get(FOLDERS)


class WorkerProcess:
    """Keeps one worker alive on this host, unless another one of this store already is."""

    def __init__(self, store: Store, say: Say) -> None:
        self._store = store
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._deaths = 0  # in a row
        self._next_look = 0.0

    def keep(self) -> None:
        """Start the worker if there is none; one that keeps dying is given more and more time."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._deaths = 1 if now - self._started > STEADY_SECONDS else self._deaths + 1
            wait = min(30.0, 2.0 ** (self._deaths - 1))
            self._strike_off(self._process)
            self._say(f"The worker ended (exit code {self._process.returncode}); a new one starts in {wait:.0f} s.")
            self._process, self._next_look = None, now + wait
        if self._process is None and now >= self._next_look:
            self._next_look = now + 2.0
            if not self._someone_works_here():
                self._start()

    def _someone_works_here(self) -> bool:
        """A worker that was killed a moment ago still looks alive in the store, but its process is gone."""
        here = socket.gethostname()
        try:
            return any(w.host == here and psutil.pid_exists(w.pid) for w in self._store.workers())
        except CompresslabError:
            return False

    def _start(self) -> None:
        self._started = time.monotonic()
        self._process = _start([*PYTHON, "compresslab.work.worker"], "worker.log")

    def end(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._strike_off(self._process)

    def _strike_off(self, process: subprocess.Popen[bytes]) -> None:
        """One that was killed could not sign off itself."""
        with suppress(CompresslabError):
            jobs.process_died(self._store, process.pid)


def free_port(asked: int | None) -> int:
    """The port asked for, or the first free one from 8501 on. Raises BadInput."""
    if asked is not None:
        if _is_free(asked):
            return asked
        raise BadInput("server.port_taken", port=asked)
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if _is_free(port):
            return port
    raise BadInput("server.ports_taken", first=FIRST_PORT, last=FIRST_PORT + PORTS - 1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _start_server(host: str, port: int) -> subprocess.Popen[bytes]:
    command = [*PYTHON, "compresslab_dashboard", "--host", host, "--port", str(port)]
    return _start(command, "dashboard.log")


def _start(command: list[str], log_name: str) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches only this process, which then ends the others in order."""
    with log_file(log_name).open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _wait_until_up(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RunFailed(_ended(server))
        try:
            with LOCAL.open(f"{url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RunFailed("server.no_answer", seconds=START_SECONDS, log=log_file("dashboard.log"))


def _ended(server: subprocess.Popen[bytes]) -> str:
    return f"The dashboard ended by itself (exit code {server.returncode}); see {log_file('dashboard.log')}."


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _has_display() -> bool:
    """On a Linux without a screen `webbrowser` would open a text browser in this very terminal."""
    return not sys.platform.startswith("linux") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


@contextmanager
def _stop_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
