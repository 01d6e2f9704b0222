"""The comparison with other toolkits: tasks as files, one rule for every toolkit's best way, and peers that die."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.peers import peer as peer_module
from benchmarks.peers.peer import Peer
from benchmarks.peers.summary import summarise
from benchmarks.peers.task import Setting, Task

GPTQ = Setting("gptq", 4, 64, True, "static", "search")
RTN = Setting("rtn", 3)
DEADLY = Setting("gptq", 2)
FRAIL_RUNNER = """
import os, sys
sys.path.insert(0, {folder!r})
from torch import nn
from types import SimpleNamespace
import torch, running

class Uniform(nn.Module):
    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 8))

class Frail:
    package = "torch"
    def load(self, model, setting):
        return Uniform()
    def compress(self, loaded, setting, calibration):
        if setting.bits == 2 and int(calibration[0, 0]) == 1:
            print("DeadlyError: no 2 bits", flush=True)
            os._exit(1)
        if setting.method == "rtn":
            raise running.Refused("no rounding")
        return loaded
    def plain(self, compressed, model):
        return compressed

running.main(Frail(), 0.0)
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    calibration = {seed: torch.full((2, 4), seed) for seed in (0, 1, 2)}
    return Task(tmp_path, (GPTQ, DEADLY, RTN), calibration, torch.arange(8).view(2, 4), threads=1)


def test_a_task_comes_back_as_it_was_written(task: Task, tmp_path: Path) -> None:
    again = Task.read(task.write(tmp_path))
    assert (again.model, again.settings, again.runs) == (task.model, task.settings, task.runs)
    assert torch.equal(again.calibration[2], task.calibration[2])
    assert torch.equal(again.evaluation, task.evaluation)


def test_a_method_without_data_runs_for_one_seed_only(task: Task) -> None:
    assert [(s.method, s.bits, seed) for s, seed in task.runs] == [
        *(("gptq", bits, seed) for bits in (4, 2) for seed in (0, 1, 2)),
        ("rtn", 3, 0),
    ]


def test_a_peer_that_dies_loses_one_row_and_goes_on(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = FRAIL_RUNNER.format(folder=str(Path(peer_module.__file__).parent))
    (tmp_path / "frail_runner.py").write_text(script, encoding="utf-8")
    monkeypatch.setattr(peer_module, "HERE", tmp_path)
    answer = Peer("frail", Path(sys.executable)).ask(task)
    found = [(row["setting"]["bits"], row["seed"], row.get("refused", "")) for row in answer["rows"]]
    assert found == [
        *((4, seed, "") for seed in (0, 1, 2)),
        (2, 0, ""),
        (2, 1, "its process ended: DeadlyError: no 2 bits"),
        (2, 2, ""),
        (3, 0, "Refused: no rounding"),
    ]
    assert answer["processes"] == 3
    assert answer["rows"][0]["perplexity"] == pytest.approx(8.0)  # all eight tokens equally likely


def row(tool: str, setting: Setting, seed: int, value: float) -> dict[str, object]:
    return {"tool": tool, "aim": setting.aim, "setting": setting.__dict__, "seed": seed, "perplexity": value}


def test_every_toolkit_is_taken_at_its_best_way_and_ours_against_the_best_peer() -> None:
    plain = Setting("gptq", 4, 64)
    values = {
        ("one", GPTQ): (2.0, 4.0, 6.0),
        ("one", plain): (1.0, 5.0, 9.0),  # best of all with one seed, yet not in the median
        ("two", plain): (4.1, 4.1, 4.1),
        ("ours baseline", GPTQ): (1.0, 4.4, 6.6),
    }
    rows = [row(tool, s, seed, v) for (tool, s), found in values.items() for seed, v in enumerate(found)]
    (entry,) = summarise(rows)
    assert entry["aim"] == "gptq 4 bits group 64 symmetric"
    assert entry["best_peer"] == "one"
    assert entry["way"]["one"] == "static search"
    assert entry["median_perplexity"] == {"one": 4.0, "two": 4.1, "ours baseline": 4.4}
    assert entry["ratio"] == {"ours baseline": pytest.approx(1.1)}  # median of 0.5, 1.1, 1.1
