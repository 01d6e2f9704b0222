"""Processes of this machine: told apart, whatever the clock does and however often a number is given again; and ended
with those that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

FOLLOW = "--follow"  # tells a process that its standard input ends with the one that started it
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def identity(pid: int) -> str:
    """Names the process of this number and no later one; "" where there is none."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() in DEAD else f"{_place()}/{_start(process)}"
    except (psutil.Error, OSError):
        return ""


def lives(pid: int, known_as: str, host: str) -> bool | None:
    """Whether the process that was known as `known_as` still runs; None where only its own machine can tell."""
    if not is_here(known_as, host):
        return None
    if not psutil.pid_exists(pid):
        return False
    now = identity(pid)
    return now == known_as if now and known_as else _runs(pid)


def is_here(known_as: str, host: str) -> bool:
    """Of this boot of this machine; a container with numbers of its own is a machine of its own."""
    return host == socket.gethostname() and (not known_as or known_as.rpartition("/")[0] == _place())


def when_parent_ends(stop: Callable[[], None]) -> None:
    """Call `stop`, from a thread, once standard input ends: its other end was held by who started this process."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        stop()

    threading.Thread(target=wait, daemon=True).start()


def die_with_parent() -> None:
    """Be killed, on Linux, when the thread that started this process ends: even one that is frozen goes then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in DEAD
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # of another user, on a system that keeps them apart
        return True


@cache
def _place() -> str:
    """The boot, and the namespace of the numbers, where the system names them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start(process: psutil.Process) -> str:
    """When it began: on Linux in ticks since the boot, for psutil's `create_time` moves there with the clock."""
    file = Path(f"/proc/{process.pid}/stat")
    if not file.exists():
        return repr(process.create_time())
    return file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
