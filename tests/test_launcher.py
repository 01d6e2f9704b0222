"""What the launcher starts: kept alive while it lives, ended when it ends, whichever of them is killed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from compresslab.errors import RunFailed
from compresslab.files.paths import store_url
from compresslab.store import STALE_SECONDS, Store
from compresslab.work import jobs, launcher, processes
from compresslab.work.jobs import WarmJob
from compresslab.work.launcher import ServerProcess, WorkerProcess
from compresslab.work.reaper import Watch

from tests.patience import PATIENCE
from tests.patience import eventually as wait

ROOT = Path(__file__).resolve().parent.parent
SLEEP = (sys.executable, "-c", "import time; time.sleep(1000)")


@pytest.fixture
def started(monkeypatch):
    """Stand-ins for what the launcher starts: processes that sleep."""
    processes_ = []

    def start(*_):
        processes_.append(subprocess.Popen(SLEEP))
        return processes_[-1]

    monkeypatch.setattr(launcher, "_start", start)
    yield processes_
    for process in processes_:
        process.kill()
        process.wait()


def killed(process):
    os.kill(process.pid, signal.SIGKILL)
    wait(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_dies_is_started_again(own_home, started):
    said = []
    server = ServerProcess("localhost", 8501, said.append)
    server.keep()
    killed(started[0])
    wait(lambda: server.keep() or len(started) == 2)
    assert "exit code -9" in said[0] and "A new one starts in 1 s." in said[0]
    server.end()
    assert started[1].poll() is not None


def test_a_server_that_dies_again_and_again_is_given_up(own_home, started, monkeypatch):
    monkeypatch.setattr(launcher, "MOST_DEATHS", 2)
    server = ServerProcess("localhost", 8501, print)
    for _ in range(2):
        monkeypatch.setattr(server._restarts, "_next", 0.0)
        server.keep()
        killed(started[-1])
        server.keep()
    monkeypatch.setattr(server._restarts, "_next", 0.0)
    server.keep()
    killed(started[-1])
    with pytest.raises(RunFailed, match="ended by itself"):
        server.keep()


class Clock:
    now = 0.0

    def __call__(self):
        self.now += 2.0
        return self.now


def beat(store, process):
    who = {"host": socket.gethostname(), "pid": process.pid, "process": processes.identity(process.pid)}
    store.beat("w", **who, device="", state="busy")


def look(worker):
    worker._next_look = 0.0
    worker.keep()


def test_a_frozen_worker_is_replaced(own_home, started):
    """Its heart stands still while its process lives; nobody else is there to see it."""
    store, said = Store(store_url()), []
    worker = WorkerProcess(store, said.append)
    worker._watch = Watch(Clock())
    look(worker)
    (frozen,) = started

    job = jobs.submit(store, WarmJob(model="storyteller"))
    store.claim("w")
    for _ in range(int(STALE_SECONDS)):
        beat(store, frozen)
        look(worker)
    assert frozen.poll() is None and store.job(job).state == "running"
    for _ in range(int(STALE_SECONDS / 2) + 1):
        look(worker)
    assert frozen.returncode == -signal.SIGKILL
    assert store.job(job).error.values["reason"].code == "worker.silent"
    assert said[0] == "The worker froze and is ended."
    wait(lambda: look(worker) or len(started) == 2)
    worker.end()


def test_no_second_worker_is_started_beside_one_that_is_awake(own_home, started):
    store = Store(store_url())
    other = subprocess.Popen(SLEEP)
    worker = WorkerProcess(store, print)
    worker._watch = Watch(Clock())
    try:
        for turn in range(int(STALE_SECONDS)):
            if turn < STALE_SECONDS / 2:
                known_as = processes.identity(other.pid)
                store.beat(
                    "w", host=processes.socket.gethostname(), pid=other.pid, process=known_as, device="", state=""
                )
                assert started == []
            look(worker)
        assert len(started) == 1  # the other one froze, and is not ours to end
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


FOLLOWER = "from compresslab.work import processes; import os, time; processes.when_parent_ends(lambda: os._exit(0))"
PARENT = f"""
import sys, time
from compresslab.work.launcher import _start
child = _start([sys.executable, "-c", {FOLLOWER + "; time.sleep(1000)"!r}], "child.log")
print(child.pid, flush=True)
time.sleep(1000)
"""


def test_what_the_launcher_started_ends_with_it(own_home):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait(PATIENCE)
    parent.stdout.close()
    wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_the_server_ends_when_its_standard_input_does(own_home):
    port = launcher.free_port(None)
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "compresslab_dashboard", "--port", str(port), processes.FOLLOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait(lambda: server.poll() is not None or not launcher._is_free(port))
    server.stdin.close()
    server.wait(PATIENCE)
    wait(lambda: launcher._is_free(port))
