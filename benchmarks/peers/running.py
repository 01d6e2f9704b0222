"""Runs a task with one toolkit: load, compress and evaluate anew for every setting and seed, each of them timed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from perplexity import perplexity
from task import Setting, Task
from torch import Tensor, nn

T = TypeVar("T")


class Refused(Exception):
    """The toolkit does not offer the setting."""


class Toolkit(Protocol):
    """What a peer must do; whatever it raises is written down as its answer."""

    package: str

    def load(self, model: Path, setting: Setting) -> Any:
        """The uncompressed model in float32, as this toolkit wants it."""

    def compress(self, loaded: Any, setting: Setting, calibration: Tensor) -> Any:
        """What a user of the toolkit would call: calibration and solve. calibration: int64 [samples, length]."""

    def plain(self, compressed: Any, model: Path) -> nn.Module:
        """The result as a plain transformers model in float32 with the weights that the toolkit left. Not timed."""


def main(toolkit: Toolkit, started: float) -> None:
    """`runner.py task.json out.json`. `started` was read before the toolkit was imported."""
    importing = time.perf_counter() - started
    task = Task.read(Path(sys.argv[1]))
    torch.set_num_threads(task.threads)
    packages = (toolkit.package, "torch", "transformers")
    answer: dict[str, Any] = {"versions": {name: version(name) for name in packages}, "import_seconds": importing}
    rows: list[dict[str, Any]] = []
    for setting, seed in task.runs:
        rows.append(_row(toolkit, task, setting, seed))
        answer |= {"total_seconds": time.perf_counter() - started, "rows": rows}
        # Written after each: some peers end the whole process where they fail.
        Path(sys.argv[2]).write_text(json.dumps(answer, indent=1), encoding="utf-8")


def _row(toolkit: Toolkit, task: Task, setting: Setting, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"setting": asdict(setting), "aim": setting.aim, "seed": seed}
    torch.manual_seed(seed)
    try:
        loaded, load = _timed(lambda: toolkit.load(task.model, setting))
        compressed, solve = _timed(lambda: toolkit.compress(loaded, setting, task.calibration[seed]))
        model = toolkit.plain(compressed, task.model).float().eval()
        value, evaluate = _timed(lambda: perplexity(model, task.evaluation))
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
        row["refused"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    else:
        row |= {"perplexity": value, "seconds": {"load": load, "compress": solve, "evaluate": evaluate}}
        task.keep(model, setting, seed)
    print("==", row["aim"], setting.order, setting.scales, seed, row.get("perplexity", row.get("refused")), flush=True)
    return row


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun
