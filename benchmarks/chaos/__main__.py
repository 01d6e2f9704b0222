"""Faults of every kind in every phase, and fuzzed input at length: `make chaos`. Fails where anything was lost.

A strike that failed is repeated by its lane: `python -m benchmarks.chaos.lane ENGINE COUNT SEED MINUTES`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.chaos.arena import ROOT
from benchmarks.report import spread, write

COSTS = ("lost", "orphans", "left_over")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--stand-in", type=int, default=460, metavar="N", help="faults with the stand-in")
    parser.add_argument("--real", type=int, default=48, metavar="N", help="faults with the real engine")
    parser.add_argument("--house", type=int, default=6, metavar="N", help="faults of launcher and server")
    parser.add_argument("--fuzz", type=int, default=3, metavar="TIMES", help="as many examples as the tests take")
    parser.add_argument("--lanes", type=int, default=2, metavar="N", help="of the stand-in, at the same time")
    parser.add_argument("--minutes", type=float, default=240.0, metavar="N", help="after which no fault begins")
    parser.add_argument("--seed", type=int, default=11)
    asked = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-logs-") as logs:
        lanes = _start(asked, Path(logs))
        fuzzed = _fuzz(asked.fuzz, Path(logs))
        outcomes = [outcome for lane in lanes for outcome in lane.outcomes()]
    figures = summary(outcomes, asked.stand_in + asked.real + asked.house) | {
        "fuzzed": fuzzed,
        "seconds": round(time.monotonic() - begun),
        "asked": vars(asked),
    }
    print(write("chaos", figures))
    print(json.dumps(figures["strikes"]), json.dumps(figures["cost"]), json.dumps(fuzzed["tried"]))
    if any(figures["cost"].values()) or fuzzed["failed"]:
        sys.exit("Something was lost, orphaned or left over: see above.")


class Lane:
    """A process that strikes, and what it has told."""

    def __init__(self, engine: str, count: int, seed: int, minutes: float, folder: Path) -> None:
        self.engine, self.seed = engine, seed
        self.told, self.errors = folder / f"{engine}-{seed}.jsonl", folder / f"{engine}-{seed}.log"
        command = [sys.executable, "-m", "benchmarks.chaos.lane", engine, str(count), str(seed), str(minutes)]
        with self.told.open("wb") as told, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=errors)

    def outcomes(self) -> list[dict[str, Any]]:
        code = self.process.wait()
        outcomes = [json.loads(line) for line in self.told.read_text(encoding="utf-8").splitlines()]
        if code:
            said = self.errors.read_text(encoding="utf-8", errors="replace")[-2000:]
            outcomes.append({"engine": self.engine, "seed": self.seed, "at_the_end": True, "lost": [said]})
        return outcomes


def _start(asked: argparse.Namespace, folder: Path) -> list[Lane]:
    shares = [asked.stand_in // asked.lanes + (lane < asked.stand_in % asked.lanes) for lane in range(asked.lanes)]
    counts = [("stand-in", share) for share in shares] + [("real", asked.real), ("house", asked.house)]
    return [
        Lane(engine, count, asked.seed + number, asked.minutes, folder)
        for number, (engine, count) in enumerate(counts)
        if count
    ]


def _fuzz(times: int, folder: Path) -> dict[str, Any]:
    if not times:
        return {"tests": 0, "tried": {}, "failed": []}
    environment = os.environ | {"COMPRESSLAB_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.chaos.fuzz", str(times)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(outcomes: list[dict[str, Any]], asked: int) -> dict[str, Any]:
    struck = [outcome for outcome in outcomes if "fault" in outcome]
    return {
        "what": "faults struck while a job was under way; after each: all jobs ended or queued, records whole, the "
        "store sound, no half artefact under its name, no process but the worker and its child, no part left",
        "strikes": {"asked": asked, "all": len(struck)} | Counter(outcome["engine"] for outcome in struck),
        "reached_their_phase": sum(outcome["reached"] for outcome in struck),
        "cost": {cost: sum(len(outcome.get(cost, [])) for outcome in outcomes) for cost in COSTS},
        "by_fault": dict(sorted(Counter(outcome["fault"] for outcome in struck).items())),
        "by_phase": dict(sorted(Counter(outcome["phase"] for outcome in struck).items())),
        "clock": "stepped within the stand-in and its database; full disks are small ones of their own, where this "
        "user may mount them",
        "full_disks": all(outcome["own_disk"] for outcome in outcomes if "own_disk" in outcome),
        "seconds_each": spread([outcome["seconds"] for outcome in struck]) if struck else {},
        "trouble": [outcome for outcome in outcomes if any(outcome.get(cost) for cost in COSTS)],
    }


if __name__ == "__main__":
    main()
