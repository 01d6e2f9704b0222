"""Timing: both models in turn, alone on the machine, medians over rounds. Batch 1, greedy, with a KV cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import psutil
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from core.engine.device import synchronize
from core.engine.model import CompressedModel
from core.engine.statistics import median
from core.engine.tasks import Speaker
from core.paths import home
from core.results import Direction, Measurement, Variant

if TYPE_CHECKING:
    from core.engine.context import Job, MeasureContext
    from core.metrics.speed import Speed

BUSY_PERCENT = 25  # of all cores, by others, before the timing starts
SIMULATED_ZEROS = "zeros are stored in dense matrices, the matmul is dense"
SIMULATED_BITS = "weights are rounded, the matmul is dense"


def timing_lock() -> FileLock:
    """Held by whoever times: one at a time on this machine."""
    return FileLock(home() / "timing.lock")


def kernel_note(model: CompressedModel) -> str:
    """Why the kernel is simulated; empty where it is real."""
    if model.kernel == "real":
        return ""
    return SIMULATED_BITS if any(plan.grid for plan in model.layout()) else SIMULATED_ZEROS


@dataclass
class Laps:
    """What was timed of one variant, one value a round."""

    ttft: list[float] = field(default_factory=list)  # seconds
    prefill: list[float] = field(default_factory=list)  # tokens/s
    decode: list[float] = field(default_factory=list)  # tokens/s


def race(context: MeasureContext, settings: Speed) -> Iterator[list[Measurement]]:
    """Rounds of baseline and compressed in turn, after one round that is not counted."""
    models: dict[Variant, CompressedModel] = {"baseline": context.baseline, "compressed": context.compressed}
    laps: dict[Variant, Laps] = {variant: Laps() for variant in models}
    prompt = _prompt(context, settings)
    new_tokens = 1 if context.baseline.facts.task == "classification" else settings.new_tokens
    with _alone(context.job) as busy:
        for round_ in range(settings.repeats + 1):
            for variant, model in models.items():
                lap = time_once(model, prompt, new_tokens, context.job)
                if round_:
                    _add(laps[variant], lap, prompt.shape[1], new_tokens)
            context.job.tracker.advance(round_ + 1, settings.repeats + 1)
            if round_:
                yield [m for variant, model in models.items() for m in _speeds(variant, model, laps[variant], busy)]


def time_once(model: CompressedModel, prompt: Tensor, new_tokens: int, job: Job) -> tuple[float, float]:
    """Seconds to the first token (or class), and seconds for the `new_tokens - 1` after it."""
    with torch.inference_mode():
        synchronize(model.device)
        begun = time.perf_counter()
        speaker = Speaker(model, prompt)
        synchronize(model.device)
        first = time.perf_counter()
        for _ in range(new_tokens - 1):
            job.check()
            speaker.next()
        synchronize(model.device)
        return first - begun, time.perf_counter() - first


class _alone:  # noqa: N801 - reads as a word in the with statement
    """Waits for the timing lock, and knows whether the machine was busy with other work just before."""

    def __init__(self, job: Job) -> None:
        self._job, self._lock = job, timing_lock()

    def __enter__(self) -> bool:
        while True:
            self._job.check()
            try:
                self._lock.acquire(timeout=0.5)
                break
            except Timeout:
                self._job.notice("Another timing is running on this machine; this one waits for its turn.")
        busy = psutil.cpu_percent(interval=0.1) > BUSY_PERCENT
        if busy:
            self._job.notice("The machine was busy with other work while speed was timed; expect wider errors.")
        return busy

    def __exit__(self, *_: object) -> Literal[False]:
        self._lock.release()
        return False


def _prompt(context: MeasureContext, settings: Speed) -> Tensor:
    """[1, prompt_tokens] from the beginning of the evaluation text."""
    windows, _ = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    causal = context.baseline.facts.task == "causal"  # the others keep what they read and what they say apart
    room = context.baseline.context_length - (settings.new_tokens if causal else 0)
    length = max(1, min(settings.prompt_tokens, room, windows.numel()))
    if length < settings.prompt_tokens:
        context.job.notice(f"Speed was timed with a prompt of {length} tokens: the model's context holds no more.")
    return windows.flatten()[:length].unsqueeze(0).to(context.baseline.device)


def _add(laps: Laps, lap: tuple[float, float], prompt_tokens: int, new_tokens: int) -> None:
    first, rest = lap
    laps.ttft.append(first)
    laps.prefill.append(prompt_tokens / first)
    if new_tokens > 1:
        laps.decode.append((new_tokens - 1) / rest)


def _speeds(variant: Variant, model: CompressedModel, laps: Laps, busy: bool) -> list[Measurement]:
    note = "; ".join(part for part in (kernel_note(model), "the machine was busy" if busy else "") if part)
    rows: list[tuple[str, list[float], str, Direction]] = [
        ("ttft_seconds", laps.ttft, "s", "lower"),
        ("prefill_tokens_per_second", laps.prefill, "tokens/s", "higher"),
        ("decode_tokens_per_second", laps.decode, "tokens/s", "higher"),
    ]
    if not laps.decode:  # a classifier writes nothing: reading is all there is
        rows = rows[1:2]
    return [_speed(name, variant, values, unit, direction, model, note) for name, values, unit, direction in rows]


def _speed(
    name: str,
    variant: Variant,
    values: list[float],
    unit: str,
    direction: Direction,
    model: CompressedModel,
    note: str,
) -> Measurement:
    value, error = median(values)
    return Measurement(
        metric=name,
        variant=variant,
        value=value,
        unit=unit,
        error=error,
        direction=direction,
        samples=len(values),
        sample_unit="rounds",
        kernel=model.kernel,
        note=note,
    )
