"""Where and in which dtype the models run, with the reason in words. The dtype is chosen by timing, not by habit."""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts
from compresslab.recipes import memory

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PROMPT = 256  # tokens of the prefill that the trial stands for
WORTH_IT = 1.1  # a lower precision must be this much faster, or float32 stays
ROUNDS, TRIAL_SECONDS = 20, 0.3
SMALL = 2**20  # weights of matrices solved together


@dataclass(frozen=True)
class Choice:
    """A device and a compute dtype, and why."""

    device: torch.device
    dtype: torch.dtype
    reason: Message
    dtype_reason: Message

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose(device: str, dtype: str, facts: ModelFacts) -> Choice:
    """Raises BadInput for a device that is not there."""
    kind, reason = _device(device)
    if dtype != "auto":
        return Choice(torch.device(kind), DTYPES[dtype], reason, Message("device.asked"))
    name, dtype_reason = _fastest(kind, facts.hidden_size, _half_precision(kind, facts))
    return Choice(torch.device(kind), DTYPES[name], reason, dtype_reason)


@contextmanager
def threads_for(elements: int) -> Iterator[None]:
    """One thread where waking the others takes longer than what they would do: a step of many small operations."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if elements < SMALL else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def device_name(device: torch.device) -> str:
    """Of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told: without it a clock measures the telling."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def return_freed_memory() -> None:
    """Pages that the allocator keeps for later go back to the system, where it can be told so."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def available() -> list[str]:
    """Devices of this machine, the fastest kind first."""
    there = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [name for name, is_there in there if is_there]


def room_on(device: torch.device) -> int:
    """Bytes that a job may take there: what is free, and what this process holds from earlier jobs."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    return memory.available(own=True)


def _device(asked: str) -> tuple[str, Message]:
    here = available()
    if asked == "auto":
        missing = [name for name in ("cuda", "mps") if name not in here]
        return here[0], Message("device.fastest") if here[0] != "cpu" else Message("device.missing", devices=missing)
    if asked not in here:
        raise BadInput("device.unknown", device=asked, devices=here)
    return asked, Message("device.asked")


def _half_precision(kind: str, facts: ModelFacts) -> str | None:
    """The half precision that the checkpoint itself is stored in. Any other would round its weights once more,
    and what a setting costs could not be told from what that rounding costs.
    """
    stored = {weight.dtype for weight in facts.weights}
    if stored == {"BF16"}:
        return "bfloat16"
    return "float16" if stored == {"F16"} and kind != "cpu" else None


@lru_cache(maxsize=32)
def _fastest(kind: str, hidden: int, half: str | None) -> tuple[str, Message]:
    """The quickest dtype for a prefill-shaped matmul of this width, measured once per process."""
    if half is None:
        return "float32", Message("device.holds_weights")
    seconds = _trial(torch.device(kind), hidden, ["float32", half])
    ratio = seconds["float32"] / seconds[half]
    if ratio >= WORTH_IT:
        return half, Message("device.faster", dtype=half, times=ratio)
    return "float32", Message("device.not_faster", dtype=half, times=ratio)


def _trial(device: torch.device, hidden: int, names: list[str]) -> dict[str, float]:
    """Least seconds of one [PROMPT, hidden] @ [hidden, 4 hidden], the dtypes taking turns.

    Other work can only slow a round down: the quickest one says what the device can do.
    """
    trials = {name: _matmul(device, hidden, DTYPES[name]) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    begun = time.perf_counter()
    for round_ in range(ROUNDS + 1):
        if round_ > 1 and time.perf_counter() - begun > TRIAL_SECONDS:
            break
        for name, trial in trials.items():
            start = time.perf_counter()
            trial()
            synchronize(device)
            if round_:  # the first round warms up
                taken[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in taken.items()}


def _matmul(device: torch.device, hidden: int, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    left = torch.full((PROMPT, hidden), 0.5, device=device, dtype=dtype)
    right = torch.full((4 * hidden, hidden), 0.5, device=device, dtype=dtype)
    return lambda: torch.nn.functional.linear(left, right)
