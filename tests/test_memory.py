"""What memory there is for a job, and how little of it packing takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from compresslab.commands.main import main
from compresslab.engine.models import packing
from compresslab.engine.models.device import room_on
from compresslab.recipes import memory

GB = 10**9


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(monkeypatch):
    """Of 32 GB, 20 of them free."""
    has = {"total": 32 * GB, "available": 20 * GB}
    monkeypatch.setattr("compresslab.recipes.memory.psutil.virtual_memory", lambda: type("Memory", (), has))
    monkeypatch.setattr(memory, "limits", list)
    monkeypatch.setattr(memory, "kept_warm", lambda: 0)
    return has


def test_what_counts_is_what_is_free_not_what_there_is(machine, monkeypatch):
    assert memory.available() == 20 * GB
    monkeypatch.setattr(memory, "kept_warm", lambda: 5 * GB)
    assert memory.available() == 25 * GB  # the warm process gives it up for the next job
    monkeypatch.setattr(memory, "kept_warm", lambda: 50 * GB)
    assert memory.available() == 32 * GB


def test_a_container_has_what_its_limit_leaves(machine, monkeypatch):
    monkeypatch.setattr(memory, "limits", lambda: [(8 * GB, 3 * GB), (64 * GB, 60 * GB)])
    assert (memory.available(), memory.total()) == (3 * GB, 8 * GB)
    assert memory.for_caches() == 2 * GB


CGROUPS = [
    (
        "0::/user/app\n",
        {
            "sys/fs/cgroup/user/app/memory.max": "max\n",
            "sys/fs/cgroup/user/app/memory.current": "5\n",
            "sys/fs/cgroup/user/memory.max": "1000\n",
            "sys/fs/cgroup/user/memory.current": "900\n",
            "sys/fs/cgroup/user/memory.stat": "anon 700\ninactive_file 200\n",
        },
        [(1000, 300)],
    ),
    (
        "4:memory:/docker/abc\n0::/\n",
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1100\n",
        },
        [(1000, 0)],
    ),
    ("0::/\n", {}, []),
]


@pytest.mark.parametrize(("groups", "files", "expected"), CGROUPS, ids=["version 2", "version 1", "no limit"])
def test_limits_of_control_groups(tmp_path, groups, files, expected):
    write(tmp_path, {"proc/self/cgroup": groups} | files)
    assert memory.limits(tmp_path) == expected
    assert memory.limits(tmp_path / "elsewhere") == []


def test_a_gpu_is_asked_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GB, 24 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GB)
    assert room_on(torch.device("cuda")) == 5 * GB


def test_the_budget_of_caches_is_told_and_can_be_set(machine, monkeypatch, capsys):
    assert main(["statistics"]) == 0
    assert "all caches of a process together take 8,000.00 MB at most" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setenv(memory.CACHES, "much")
    assert main(["statistics"]) == 2
    assert memory.CACHES in capsys.readouterr().err


@pytest.mark.parametrize("bits", range(1, 9))
def test_packing_in_pieces_is_packing(monkeypatch, bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, 1001).astype(np.uint8)
    whole = packing._bits(values, bits)
    monkeypatch.setattr(packing, "AT_ONCE", 16)
    pieces = packing._bits(values, bits)
    assert torch.equal(pieces, whole) and len(whole) == -(-1001 * bits // 8)
    assert packing._values(pieces, 1001, bits).tolist() == values.tolist()
