"""Timing: models in turn, alone on the machine, medians over rounds. Batch 1, greedy, with a KV cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import psutil
import torch
from compresslab.engine.job import Job
from compresslab.engine.measuring.context import MeasureContext
from compresslab.engine.measuring.measurements import median
from compresslab.engine.models.device import synchronize
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import Speaker
from compresslab.engine.runtimes import CannotExpress, Runtime
from compresslab.engine.runtimes.bandwidth import read_bandwidth
from compresslab.engine.runtimes.decoding import Greedy
from compresslab.engine.runtimes.fidelity import divergence
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.files.locks import quiet_lock, timing_lock
from compresslab.messages import Message, remarks
from compresslab.models.narrowing import widths_now
from compresslab.models.traffic import cache_per_token, read_per_token
from compresslab.records.results import Direction, Measurement, Variant
from filelock import FileLock, Timeout
from torch import Tensor

BUSY_PERCENT = 25  # of all cores, by others, before or during the timing
LOOK_SECONDS, SAMPLE_SECONDS = 0.1, 0.3  # that others are watched before, and at least between two rounds
PLAIN = "torch_"  # before the names of metrics: what plain torch does, where the race is run in another runtime


class Others:
    """What the rest of the machine does while models race: the load before says nothing of what begins later."""

    def __init__(self) -> None:
        self.busy = False
        self._before = _cpu_seconds()

    def look(self, *, at_least: float = SAMPLE_SECONDS) -> bool:
        """Whether others were busy at any time so far; clocks of the system are too coarse for a shorter look."""
        now = _cpu_seconds()
        passed, others = now[0] - self._before[0], now[1] - self._before[1]
        if passed >= at_least:
            self._before = now
            self.busy |= others > passed * BUSY_PERCENT / 100 * (psutil.cpu_count() or 1)
        return self.busy


def _cpu_seconds() -> tuple[float, float]:
    """By the wall, and of all cores together by other processes than this one."""
    spent = psutil.cpu_times()
    idle = spent.idle + getattr(spent, "iowait", 0.0)
    everybody = sum(spent) - idle - getattr(spent, "guest", 0.0) - getattr(spent, "guest_nice", 0.0)
    own = psutil.Process().cpu_times()
    return time.monotonic(), everybody - own.user - own.system


class Voice(Protocol):
    """What has read a prompt, and says token after token."""

    def next(self) -> None: ...


@dataclass
class Lane:
    """One model in one runtime, and what was timed of it: one value a round."""

    variant: Variant
    model: CompressedModel
    runtime: Runtime
    read: Callable[[Tensor], Voice]
    new_tokens: int = 1
    prefix: str = ""  # of its metrics' names
    ttft: list[float] = field(default_factory=list)  # seconds
    prefill: list[float] = field(default_factory=list)  # tokens/s
    decode: list[float] = field(default_factory=list)  # tokens/s

    def add(self, first: float, rest: float, prompt_tokens: int) -> None:
        self.ttft.append(first)
        self.prefill.append(prompt_tokens / first)
        if self.new_tokens > 1:
            self.decode.append((self.new_tokens - 1) / rest)


def race(context: MeasureContext, *, repeats: int, prompt_tokens: int, new_tokens: int) -> Iterator[list[Measurement]]:
    """Rounds of all lanes in turn, after one round that is not counted."""
    prompt = _prompt(context, prompt_tokens, new_tokens)
    with _alone_on_the_machine(context.job) as others:
        lanes = _lanes(context, prompt.shape[1], new_tokens)
        for round_ in range(repeats + 1):
            for lane in lanes:
                lap = time_once(lane, prompt, context.job)
                if round_:
                    lane.add(*lap, prompt.shape[1])
            context.job.tracker.advance(round_ + 1, repeats + 1)
            busy = others.look()
            if round_:
                last = round_ == repeats
                yield [m for lane in lanes for m in _speeds(lane, busy)] + (
                    _beside(context, lanes, prompt) if last else []
                )


def time_once(lane: Lane, prompt: Tensor, job: Job) -> tuple[float, float]:
    """Seconds to the first token (or class), and seconds for the `lane.new_tokens - 1` after it."""
    device = lane.model.device
    with torch.inference_mode():
        synchronize(device)
        begun = time.perf_counter()
        voice = lane.read(prompt)
        synchronize(device)
        first = time.perf_counter()
        for _ in range(lane.new_tokens - 1):
            job.check()
            voice.next()
        synchronize(device)
        return first - begun, time.perf_counter() - first


def _lanes(context: MeasureContext, prompt_tokens: int, new_tokens: int) -> list[Lane]:
    """Both models in the runtime that the compressed one was given; beside them the baseline in plain torch."""
    baseline, compressed, job = context.baseline, context.compressed, context.job
    if baseline.facts.task != "causal":
        said = 1 if baseline.facts.task == "classification" else new_tokens
        return [
            Lane("baseline", baseline, TorchRuntime(baseline), partial(Speaker, baseline), said),
            Lane("compressed", compressed, TorchRuntime(compressed), partial(Speaker, compressed), said),
        ]
    chosen = context.session.runtimes.choose(compressed, context.recipe.runtime, prompt_tokens)
    plain, beside = TorchRuntime(baseline), chosen.runtime
    lanes = [_lane("compressed", compressed, chosen.runtime, new_tokens)]
    job.remember("timing.runtime", runtime=chosen.runtime.name, reason=chosen.why)
    if chosen.runtime.name != "onnxruntime":
        return [_lane("baseline", baseline, plain, new_tokens), *lanes]
    try:
        beside = context.session.runtimes.onnx(baseline)
    except CannotExpress as reason:
        job.notice("timing.baseline_torch", reason=reason.message)
        return [_lane("baseline", baseline, plain, new_tokens), *lanes]
    return [
        _lane("baseline", baseline, beside, new_tokens),
        *lanes,
        _lane("baseline", baseline, plain, new_tokens, PLAIN),
    ]


def _lane(variant: Variant, model: CompressedModel, runtime: Runtime, new_tokens: int, prefix: str = "") -> Lane:
    return Lane(variant, model, runtime, lambda prompt: Greedy(runtime, prompt, new_tokens), new_tokens, prefix)


@contextmanager
def _alone_on_the_machine(job: Job) -> Iterator[Others]:
    """With the timing lock, and no worker begins a job; gives what tells whether others were busy. Raises Cancelled."""
    with _held(timing_lock(), job, Message("timing.waiting")), _held(quiet_lock(), job):
        others = Others()
        time.sleep(LOOK_SECONDS)
        told = others.look(at_least=0.0)
        if told:
            job.notice("timing.busy")
        yield others
        if others.busy and not told:
            job.notice("timing.busy")


@contextmanager
def _held(lock: FileLock, job: Job, waiting: Message | None = None) -> Iterator[None]:
    """Raises Cancelled."""
    while not lock.is_locked:
        job.check()
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            if waiting is not None:
                job.notice(waiting)
    try:
        yield
    finally:
        lock.release()


def _prompt(context: MeasureContext, prompt_tokens: int, new_tokens: int) -> Tensor:
    """[1, prompt_tokens] from the beginning of the evaluation text."""
    windows, _ = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    causal = context.baseline.facts.task == "causal"  # the others keep what they read and what they say apart
    room = context.baseline.context_length - (new_tokens if causal else 0)
    length = max(1, min(prompt_tokens, room, windows.numel()))
    if length < prompt_tokens:
        context.job.notice("timing.short_prompt", count=length)
    return windows.flatten()[:length].unsqueeze(0).to(context.baseline.device)


# -- as measurements ----------------------------------------------------------------------


def _speeds(lane: Lane, busy: bool) -> list[Measurement]:
    note = remarks(lane.runtime.reason, Message("timing.note_busy") if busy else None)
    rows: list[tuple[str, list[float], str, Direction]] = [
        ("ttft_seconds", lane.ttft, "s", "lower"),
        ("prefill_tokens_per_second", lane.prefill, "tokens/s", "higher"),
        ("decode_tokens_per_second", lane.decode, "tokens/s", "higher"),
    ]
    if not lane.decode:  # a classifier writes nothing: reading is all there is
        rows = rows[1:2]
    return [_speed(lane, name, values, unit, direction, note) for name, values, unit, direction in rows]


def _speed(
    lane: Lane, name: str, values: list[float], unit: str, direction: Direction, note: Message | None
) -> Measurement:
    value, error = median(values)
    return Measurement(
        metric=lane.prefix + name,
        variant=lane.variant,
        value=value,
        unit=unit,
        error=error,
        direction=direction,
        samples=len(values),
        sample_unit="rounds",
        kernel="real" if lane.runtime.real else "simulated",
        runtime=runtime_label(lane.runtime),
        note=note,
    )


def _beside(context: MeasureContext, lanes: list[Lane], prompt: Tensor) -> list[Measurement]:
    """What tells how the speeds came about, and whether the words are those that quality was measured of."""
    shares = [share for lane in lanes if (share := _bandwidth_share(lane, prompt.shape[1])) is not None]
    low = [lane for lane in lanes if lane.variant == "compressed" and lane.decode and lane.runtime.name != "torch"]
    held = [_weights_held(lane) for lane in lanes if not lane.prefix]
    return shares + held + [_divergence(context, lane) for lane in low]


def _weights_held(lane: Lane) -> Measurement:
    """Where torch does not answer, its weights say nothing of the memory that answering takes."""
    return Measurement(
        metric="runtime_weight_bytes",
        variant=lane.variant,
        value=lane.runtime.weight_bytes,
        unit="bytes",
        direction="lower",
        runtime=runtime_label(lane.runtime),
        note=Message("timing.all_forms"),
    )


def _divergence(context: MeasureContext, lane: Lane) -> Measurement:
    windows, _ = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    value, error, tokens = divergence(lane.runtime, lane.model, windows)
    return Measurement(
        metric="runtime_divergence",
        variant="compressed",
        value=value,
        error=error,
        unit="nats/token",
        direction="lower",
        samples=tokens,
        sample_unit="tokens",
        runtime=runtime_label(lane.runtime),
        note=Message("timing.quality_torch"),
    )


def _bandwidth_share(lane: Lane, prompt_tokens: int) -> Measurement | None:
    """Bytes of weights and KV cache that writing reads in a second, over those of a plain read of as many bytes."""
    if lane.model.device.type != "cpu" or not lane.decode:
        return None
    model, tokens = lane.model, prompt_tokens + lane.new_tokens / 2
    cache = cache_per_token(widths_now(model.weights, model.facts).heads, model.depth, tokens)
    size = read_per_token(model.layout(), low_bit=lane.runtime.name == "onnxruntime") + cache
    plain, (pace, error) = read_bandwidth(size), median(lane.decode)
    return Measurement(
        metric=f"{lane.prefix}bandwidth_share",
        variant=lane.variant,
        value=size * pace / plain,
        unit="fraction",
        error=None if error is None else size * error / plain,
        direction="higher",
        samples=len(lane.decode),
        sample_unit="rounds",
        runtime=runtime_label(lane.runtime),
        note=Message("timing.ceiling", token=size / 1e6, cache=cache / 1e6, bandwidth=plain / 1e9),
    )


def runtime_label(runtime: Runtime) -> Message:
    """Runtime and kernel, as records and panes name them."""
    return Message("runtime.label", runtime=runtime.name, kernel=runtime.kernel)
