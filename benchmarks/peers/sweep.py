"""A sweep of 24 settings: ours in one session with statistics taken once, against 24 runs of a known toolkit.

python -m benchmarks.peers.sweep --llmcompressor PYTHON [--gptqmodel PYTHON]

The peer runs in one process, its import not counted, and loads, calibrates, solves and evaluates for every setting;
a process of its own for each would add its import 24 times, so that is given apart. Ours loads once and pays for its
statistics once, both counted. Everyone evaluates the same tokens with the same loop.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers import ours
from benchmarks.peers.peer import Peer
from benchmarks.peers.summary import Row
from benchmarks.peers.task import Setting, Task
from benchmarks.peers.workload import Workload, fingerprint, storyteller
from benchmarks.report import write

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
SETTINGS = [
    *(Setting("gptq", b, g, s, "static") for b in (4, 3, 2) for g in (64, 0) for s in (True, False)),
    *(Setting(method, sparsity=share) for method in ("sparsegpt", "wanda") for share in SHARES),
    *(Setting(method, pattern="2:4") for method in ("sparsegpt", "wanda")),
]
SEED = 0


def main() -> None:
    arguments = _arguments()
    workload = storyteller(arguments.samples, arguments.most_tokens)
    task = workload.task(SETTINGS, (SEED,), arguments.threads)
    mine = _ours(workload, task)
    given = {name: getattr(arguments, name) for name in ("llmcompressor", "gptqmodel") if getattr(arguments, name)}
    peers = {name: _theirs(Peer(name, path), task, mine) for name, path in given.items()}
    about = {
        "model": workload.name,
        "settings": len(SETTINGS),
        "tokens": fingerprint(task),
        "calibration": list(task.calibration[SEED].shape),
        "evaluation": list(task.evaluation.shape),
        "threads": task.threads,
    }
    print(write("sweep", about | {"ours": mine, "peers": peers}))
    for name, found in peers.items():
        print(f"{name}: {found['settings']} settings {found['total_seconds']:.1f} s, ours {found['our_seconds']:.1f} s")


def _ours(workload: Workload, task: Task) -> dict[str, Any]:
    """In a data folder of its own: statistics kept by an earlier run would cost nothing."""
    with TemporaryDirectory() as home:
        os.environ["COMPRESSLAB_HOME"] = home
        begun = time.perf_counter()
        rows = ours.rows(workload, task, "baseline")
        return {"total_seconds": time.perf_counter() - begun, "rows": rows}


def _theirs(peer: Peer, task: Task, mine: dict[str, Any]) -> dict[str, Any]:
    """Only the settings that the peer has count, for it and for us; our statistics and loading count in full."""
    answer = peer.ask(task)
    done = [row for row in answer["rows"] if "perplexity" in row]
    aims = {row["aim"] for row in done}
    theirs = sum(sum(row["seconds"].values()) for row in done)
    left_out = sum(_spent(row) for row in mine["rows"] if row["aim"] not in aims)
    our_seconds = mine["total_seconds"] - left_out
    return {
        "settings": len(done),
        "total_seconds": theirs,
        "our_seconds": our_seconds,
        "times_faster": theirs / our_seconds,
        "import_seconds": answer["import_seconds"],
        "total_seconds_in_processes_of_their_own": theirs + len(done) * answer["import_seconds"],
        "perplexity_ratio": _ratios(mine["rows"], done),
        "versions": answer.get("versions", {}),
        "rows": answer["rows"],
    }


def _spent(row: Row) -> float:
    return sum(row.get("seconds", {}).values())


def _ratios(mine: list[Row], theirs: list[Row]) -> dict[str, Any]:
    """Ours / theirs per aim, with the median."""
    values = {row["aim"]: row["perplexity"] for row in mine if "perplexity" in row}
    ratios = {row["aim"]: values[row["aim"]] / row["perplexity"] for row in theirs if row["aim"] in values}
    return {"median": median(ratios.values()) if ratios else None, "each": ratios}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("llmcompressor", "gptqmodel"):
        parser.add_argument(f"--{name}", type=Path, help="the interpreter of an environment that has it")
    parser.add_argument("--samples", type=int, default=512, help="calibration sequences of 128 tokens")
    parser.add_argument("--most-tokens", type=int, default=8192, help="of the evaluation text: what a draft scores")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
