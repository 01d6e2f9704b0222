"""Calls a peer's own interpreter with a task and reads its rows; a process that dies costs it one row, not all."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.peers.task import Setting, Task

HERE = Path(__file__).parent
LINES_KEPT = 400  # of what a peer prints, for the reason where it dies


@dataclass(frozen=True)
class Peer:
    name: str  # llmcompressor, gptqmodel or hqq: its runner is NAME_runner.py
    interpreter: Path

    def ask(self, task: Task) -> dict[str, Any]:
        """versions, import_seconds, and a row for every setting and seed."""
        answer: dict[str, Any] = {"rows": [], "import_seconds": 0.0, "processes": 0}
        left = task.runs
        while left:
            part = _part(task, left)
            found, reason = self._once(part)
            done = len(found.get("rows", []))
            answer |= {key: value for key, value in found.items() if key not in ("rows", "total_seconds")}
            answer["rows"] += found.get("rows", [])
            answer["processes"] += 1
            if done < len(part.runs):
                answer["rows"].append(_died(*left[done], reason))
                done += 1
            left = left[done:]
        return answer

    def _once(self, task: Task) -> tuple[dict[str, Any], str]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.json"
            command = [
                str(self.interpreter),
                str(HERE / f"{self.name}_runner.py"),
                str(task.write(Path(folder))),
                str(out),
            ]
            lines: list[str] = []
            for line in _output(command, _environment(task)):
                lines = [*lines[-LINES_KEPT:], line.strip()]
                if line.startswith("== "):
                    print(f"{self.name}: {line[3:].strip()}", flush=True)
            answer = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
        return answer, next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "")


def _output(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """Lines as they come, until the process has ended."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, errors="replace", env=environment, **pipes) as process:
        assert process.stdout is not None
        yield from process.stdout


def _part(task: Task, left: list[tuple[Setting, int]]) -> Task:
    """What is left, as a task: whole settings, or the seeds that one setting still lacks."""
    first, seed = left[0]
    if seed != next(iter(task.calibration)):
        return replace(task, settings=(first,), calibration={s: task.calibration[s] for f, s in left if f == first})
    return replace(task, settings=tuple(dict.fromkeys(setting for setting, _ in left)))


def _died(setting: Setting, seed: int, reason: str) -> dict[str, Any]:
    row = {"setting": setting.__dict__, "aim": setting.aim, "seed": seed}
    return row | {"refused": f"its process ended: {reason}"[:300]}


def _environment(task: Task) -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    return dict(os.environ) | quiet | {"OMP_NUM_THREADS": str(task.threads), "PYTHONUNBUFFERED": "1"}
