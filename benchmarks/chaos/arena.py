"""Where faults strike: a data folder on a small disk of its own, a worker process, and a Hub that can stop half-way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from compresslab.files.paths import BUNDLED_MODEL, store_url
from compresslab.store import Store

from benchmarks.chaos.clock import STEP_FILE
from benchmarks.chaos.stand_in import GATE
from tests.local_hub import LocalHub, local_hub
from tests.patience import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
DISK_BYTES = 512 * 2**20  # the product keeps a quarter of a GiB free for others
MODEL = "chaos/tiny"  # of the Hub
WORKERS = {
    "stand-in": (sys.executable, "-m", "benchmarks.chaos.stand_in"),
    "real": (sys.executable, "-m", "compresslab.work.worker", "--follow"),
}
DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


class Arena:
    def __init__(self, root: Path, engine: str, hub: LocalHub) -> None:
        self.root, self.engine, self.hub = root, engine, hub
        self.home, self.gate, self.clock = root / "home", root / "open", root / "clock"
        self.log = root / "worker.log"
        self.has_own_disk = False
        self.halfway = threading.Event()
        self.store: Store
        self.process: subprocess.Popen[bytes] | None = None
        hub.halfway = self._stop_halfway

    def _stop_halfway(self, name: str) -> None:
        if name.endswith(".safetensors"):
            self.halfway.set()
            eventually(self.gate.exists)

    def furnish(self) -> None:
        """The environment of all processes from here on, this one too."""
        self.home.mkdir(0o700)
        self.has_own_disk = _mount(self.home)
        (self.root / "tmp").mkdir()
        os.environ |= {
            "COMPRESSLAB_HOME": str(self.home),
            GATE: str(self.gate),
            STEP_FILE: str(self.clock),
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home / "hub"),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(int(PATIENCE)),
            "TMPDIR": str(self.root / "tmp"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.root / "torch"),  # one for each user, kept on purpose
            "OMP_NUM_THREADS": "1",
        }
        os.environ.pop("COMPRESSLAB_STORE", None)
        self.store = Store(store_url())

    # -- processes ---------------------------------------------------------------------------

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                WORKERS[self.engine], cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def wake(self) -> None:
        """There is a worker, and its child is ready."""
        if self.process is not None and self.process.poll() is not None:
            self._let_go()
        if self.process is None:
            self.start()
        eventually(self._is_ready, lambda: self.log.read_text(errors="replace")[-2000:])

    def _let_go(self) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        self.process = None

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "The worker ended by itself."
        return any(row.pid == self.process.pid and row.state == "idle" for row in self.store.workers(stale=True))

    @property
    def worker(self) -> psutil.Process:
        assert self.process is not None
        return psutil.Process(self.process.pid)

    @property
    def child(self) -> psutil.Process:
        return eventually(self.worker.children)[0]

    def end_worker(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self._let_go()

    def ours(self) -> list[psutil.Process]:
        """Every living process that works on this data folder, but for this one."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("COMPRESSLAB_HOME") == str(self.home)
                if mine and process.pid != os.getpid() and process.status() not in DEAD:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    # -- the disk ----------------------------------------------------------------------------

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        filler = self.home / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (2**20, 4096, 1):
                _fill(file, size)
            try:
                yield
            finally:
                file.truncate(0)
        filler.unlink()

    def forget(self) -> None:
        """Of a case that is over: the model that was fetched, so that the next one is fetched again."""
        shutil.rmtree(self.home / "hub", ignore_errors=True)
        self.halfway.clear()


def _fill(file, size: int) -> None:  # type: ignore[no-untyped-def]
    with suppress(OSError):
        while file.write(b"\0" * size):
            pass


def _mount(folder: Path) -> bool:
    """A disk of its own, where this user may mount one."""
    command = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={DISK_BYTES},mode=700",
        f"chaos-{socket.gethostname()}",
        str(folder),
    ]
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def arena(root: Path, engine: str) -> Iterator[Arena]:
    with ExitStack() as stack:
        built = Arena(root, engine, stack.enter_context(local_hub({MODEL: BUNDLED_MODEL})))
        built.furnish()
        try:
            yield built
        finally:
            built.gate.touch()
            built.end_worker()
            for process in built.ours():  # they were counted: nothing stays behind after a benchmark
                process.kill()
            built.store.database.close()
            if built.has_own_disk:
                subprocess.run(["umount", "--lazy", str(built.home)], check=False)
