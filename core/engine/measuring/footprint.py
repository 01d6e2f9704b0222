"""Footprint: bytes on disk as written, bytes of weights in memory, peak memory, zeros achieved."""

from __future__ import annotations

import threading

import psutil
import torch
from compresslab.engine.measuring.context import MeasureContext
from compresslab.engine.models.device import return_freed_memory
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import inputs_of
from compresslab.messages import Message
from compresslab.models.packed_layout import file_bytes
from compresslab.records.results import Direction, Measurement, Variant
from torch import Tensor

SAMPLE_SECONDS = 0.001
WRITTEN = Message("footprint.packed_file")
AS_IT_IS = Message("footprint.gguf_file")
LAID_OUT = Message("footprint.packed_estimate")
CPU_PEAK = Message("footprint.process_memory")
CUDA_PEAK = Message("footprint.device_memory")


def footprints(context: MeasureContext) -> list[Measurement]:
    """Both variants: size on disk, weights in memory, peak memory; and the sparsity achieved."""
    windows, _ = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    window = windows[:1].to(context.baseline.device)
    found = [*_disk(context)]
    models: dict[Variant, CompressedModel] = {"baseline": context.baseline, "compressed": context.compressed}
    for variant, model in models.items():
        context.check()
        peak, note = peak_bytes(model, window)
        found.append(
            _bytes("weight_memory_bytes", variant, model.memory_bytes, Message("footprint.dtype", dtype=_dtype(model)))
        )
        found.append(_bytes("peak_memory_bytes", variant, peak, note))
    return [*found, _sparsity("baseline", context.baseline), _sparsity("compressed", context.compressed)]


def peak_bytes(model: CompressedModel, window: Tensor) -> tuple[int, Message]:
    """Bytes at the peak while the model reads one window, and how that was measured."""
    if model.device.type == "cuda":
        before = torch.cuda.memory_allocated(model.device)
        torch.cuda.reset_peak_memory_stats(model.device)
        _read(model, window)
        return model.memory_bytes + torch.cuda.max_memory_allocated(model.device) - before, CUDA_PEAK
    return_freed_memory()  # pages that it keeps would be used again unseen, and the rise would be too small
    process, done = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _read(model, window)
    finally:
        done.set()
        watcher.join()
    return model.memory_bytes + max(seen) - seen[0], CPU_PEAK


def _read(model: CompressedModel, window: Tensor) -> None:
    with torch.inference_mode():
        model.module(**inputs_of(model, window), use_cache=True)


def _disk(context: MeasureContext) -> list[Measurement]:
    facts, written = context.baseline.facts, context.written
    if written is None:
        baseline, compressed, note = facts.baseline_bytes, file_bytes(context.compressed.layout()), LAID_OUT
    else:
        baseline = facts.file_bytes if facts.types else context.session.written_bytes(context.baseline)
        compressed, note = written.stat().st_size, WRITTEN
    return [
        _bytes("size_on_disk_bytes", "baseline", baseline, AS_IT_IS if facts.types else note),
        _bytes("size_on_disk_bytes", "compressed", compressed, note),
    ]


def _bytes(metric: str, variant: Variant, value: int, note: Message) -> Measurement:
    return _measured(metric, variant, value, "bytes", "lower", note)


def _sparsity(variant: Variant, model: CompressedModel) -> Measurement:
    return _measured("sparsity", variant, model.sparsity(), "fraction", "neutral", Message("footprint.linear_share"))


def _measured(
    metric: str, variant: Variant, value: float, unit: str, direction: Direction, note: Message
) -> Measurement:
    return Measurement(metric=metric, variant=variant, value=value, unit=unit, direction=direction, note=note)


def _dtype(model: CompressedModel) -> str:
    return str(model.dtype).removeprefix("torch.")
