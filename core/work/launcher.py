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
from compresslab.files.logs import log_file
from compresslab.files.paths import FOLDERS, home, store_url
from compresslab.messages import Message
from compresslab.store import STALE_SECONDS, Store, WorkerRow
from compresslab.work import processes, sign_in
from compresslab.work.reaper import Watch, process_died, silent

PYTHON = (sys.executable, "-P", "-m")  # what lies in the folder that people are in stays out of our imports
FIRST_PORT, PORTS = 8501, 100
HERE, EVERYWHERE = ("localhost", "127.0.0.1", "::1"), ("0.0.0.0", "::")
START_SECONDS, END_SECONDS = 180.0, 6.0
STEADY_SECONDS = 60.0  # what ran for so long did not die of how it was started
MOST_DEATHS = 5  # of the server, in a row
LOOK_SECONDS = 2.0  # the worker's heartbeat is looked at so often
STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business on this machine

Say = Callable[[str], None]


def serve(port: int | None, *, host: str, folders: Sequence[str], browser: bool, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises BadInput (port taken, store unusable, sign-in set up wrong) and RunFailed
    (server dies again and again).

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
        worker, server = WorkerProcess(store, say), ServerProcess(host, chosen, say)
        try:
            server.keep()
            worker.keep()
            url = f"http://{'localhost' if host in (*HERE, *EVERYWHERE) else host}:{chosen}"
            server.wait_until_up(url)
            say(f"compresslab is at {url} (data in {home()}). Ctrl-C ends it.")
            if asked_in:
                say(f"Everybody signs in first, as {sign_in.secrets_file()} says.")
            if browser and _has_display():
                webbrowser.open(url)
            while True:
                server.keep()
                worker.keep()
                time.sleep(0.2)
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C would leave processes behind
            worker.end()
            server.end()


def _refuse_freer_worker(store: Store) -> None:
    """A worker that was started for this machine alone reads what its user may read: no guest's work is for it."""
    for worker in store.workers() if FOLDERS in os.environ else []:
        with suppress(psutil.Error):
            if worker.host == socket.gethostname() and _limits(worker.pid) != os.environ[FOLDERS]:
                raise BadInput("server.other_folders", folder=home(), process=worker.pid)


def _limits(pid: int) -> str | None:
    return psutil.Process(pid).environ().get(FOLDERS)


class Restarts:
    """When what ended is started again: later and later where it keeps ending soon after its start."""

    def __init__(self) -> None:
        self.deaths = 0  # in a row
        self._started = 0.0
        self._next = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next

    def started(self) -> None:
        self._started = time.monotonic()

    def ended(self) -> float:
        """Seconds until the next start."""
        now = time.monotonic()
        self.deaths = 1 if now - self._started > STEADY_SECONDS else self.deaths + 1
        wait = min(30.0, 2.0 ** (self.deaths - 1))
        self._next = now + wait
        return wait


class ServerProcess:
    """Keeps the Streamlit server alive: browsers find their way back to a new one, and no job ends with the old one."""

    def __init__(self, host: str, port: int, say: Say) -> None:
        self._host, self._port, self._say = host, port, say
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = Restarts()

    def keep(self) -> None:
        """Start the server if there is none. Raises RunFailed when it has ended too often soon after its start."""
        if self._process is not None and self._process.poll() is not None:
            wait, said = self._restarts.ended(), _ended(self._process)
            if self._restarts.deaths > MOST_DEATHS:
                raise RunFailed(said)
            self._say(f"{said} A new one starts in {wait:.0f} s.")
            self._process = None
        if self._process is None and self._restarts.due:
            self._restarts.started()
            self._process = _start_server(self._host, self._port)

    def wait_until_up(self, url: str) -> None:
        """Raises RunFailed."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise RunFailed(_ended(self._process))
            try:
                with LOCAL.open(f"{url}/_stcore/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RunFailed("server.no_answer", seconds=START_SECONDS, log=log_file("dashboard.log"))

    def end(self) -> None:
        if self._process is not None:
            _end(self._process)


class WorkerProcess:
    """Keeps one worker awake on this machine, unless another one of this store already is."""

    def __init__(self, store: Store, say: Say) -> None:
        self._store = store
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = Restarts()
        self._watch = Watch()
        self._next_look = 0.0

    def keep(self) -> None:
        """Start the worker if there is none; one that keeps dying is given more and more time."""
        if self._process is not None and self._process.poll() is not None:
            wait = self._restarts.ended()
            self._strike_off(self._process)
            self._say(f"The worker ended (exit code {self._process.returncode}); a new one starts in {wait:.0f} s.")
            self._process, self._next_look = None, 0.0
        if self._restarts.due and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._look()

    def _look(self) -> None:
        """A store that can't be read for a while says nothing about anybody."""
        try:
            here = [worker for worker in self._store.workers(stale=True) if self._runs_here(worker)]
        except CompresslabError:
            return
        still = self._watch.look((worker.worker_id, worker.heartbeat) for worker in here)
        if self._process is None:
            if all(seconds >= STALE_SECONDS for seconds in still.values()):
                self._start()
            return
        for worker in here:
            if worker.pid == self._process.pid and still[worker.worker_id] >= STALE_SECONDS:
                self._replace(self._process, silent(worker.host, still[worker.worker_id]))

    def _runs_here(self, worker: WorkerRow) -> bool:
        """A worker that was killed a moment ago still looks alive in the store, but its process is gone."""
        return bool(processes.lives(worker.pid, worker.process, worker.host))

    def _replace(self, frozen: subprocess.Popen[bytes], reason: Message) -> None:
        self._say("The worker froze and is ended.")
        with suppress(CompresslabError):
            process_died(self._store, frozen.pid, reason)
        frozen.kill()
        frozen.wait()

    def _start(self) -> None:
        self._restarts.started()
        self._process = _start([*PYTHON, "compresslab.work.worker"], "worker.log")

    def end(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._strike_off(self._process)

    def _strike_off(self, process: subprocess.Popen[bytes]) -> None:
        """One that was killed could not sign off itself."""
        with suppress(CompresslabError):
            process_died(self._store, process.pid)


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
    """In a session of its own, so that Ctrl-C reaches only this process, which then ends the others in order. Should
    this process be killed, their standard input ends, and they with it."""
    with log_file(log_name).open("ab") as log:
        return subprocess.Popen(
            [*command, processes.FOLLOW], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )


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
