"""One series of faults, one after the other, in a data folder of its own; a line of JSON for each.

`python -m benchmarks.chaos.lane stand-in 100 7 30` strikes a hundred times, as the seed 7 says, or for 30 minutes.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

from benchmarks.chaos import damage, house
from benchmarks.chaos.arena import Arena, arena
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.phases import PHASES, begin

LIBRARIES = (".ses",)  # written for temporary use by others: onnxruntime notes its session there when it is imported
DEAR_EACH = 3  # one in so many of the faults that cost a new process is struck


def plan(count: int, seed: int, place: Arena) -> list[tuple[str, str]]:
    """Phase and fault of every strike: each pair comes before any comes twice, those that cost seconds more rarely."""
    chance = random.Random(seed)
    impossible = set() if place.has_own_disk else {"disk full"}
    if place.engine == "real":
        impossible.add("clock stepped")  # only the stand-in lives by a clock that can be stepped
    every = [pair for pair in product(PHASES, FAULTS) if pair[1] not in impossible]
    chance.shuffle(every)
    cheap = [pair for pair in every if not FAULTS[pair[1]].dear]
    rounds = cycle([*every, *cheap * (DEAR_EACH - 1)])
    return list(islice(rounds, count))


def strike(place: Arena, phase: str, name: str, chance: random.Random) -> dict[str, Any]:
    """One fault in one phase, and what it has cost."""
    begun_at, fault = time.monotonic(), FAULTS[name]
    cost = damage.Damage()
    reached = False
    try:
        place.wake()
        begun = begin(place, phase, chance)
        reached = begun.reached
        fault.strike(place, begun, chance)
        place.gate.touch()
        place.wake()
        cost = damage.found(place, begun, fault)
    except Exception as error:  # noqa: BLE001 whatever does not come to its end is a loss too
        cost.lost.append(f"{type(error).__name__}: {error}"[:2000])
    place.gate.unlink(missing_ok=True)
    place.forget()
    seconds = round(time.monotonic() - begun_at, 2)
    return {"phase": phase, "fault": name, "reached": reached, "seconds": seconds, **vars(cost)}


def strikes(engine: str, count: int, seed: int, minutes: float) -> Iterator[dict[str, Any]]:
    until = time.monotonic() + 60.0 * minutes
    with tempfile.TemporaryDirectory(prefix="chaos-") as root, arena(Path(root), engine) as place:
        for number, outcome in enumerate(_each(place, count, seed)):
            yield {"engine": engine, "seed": seed, "number": number, **outcome}
            if time.monotonic() > until:
                break
        place.end_worker()
        cost = damage.Damage(
            orphans=[str(process) for process in place.ours()],
            left_over=[str(file) for file in Path(root, "tmp").iterdir() if file.name not in LIBRARIES],
        )
        yield {"engine": engine, "seed": seed, "own_disk": place.has_own_disk, "at_the_end": True, **vars(cost)}


def _each(place: Arena, count: int, seed: int) -> Iterator[dict[str, Any]]:
    if place.engine == "house":
        yield from house.strikes(place, count, seed)
        return
    chance = random.Random(seed)
    for phase, name in plan(count, seed, place):
        yield strike(place, phase, name, chance)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was begun and mounted is ended and taken away
    engine, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for outcome in strikes(engine, count, seed, float(sys.argv[4])):
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
