"""A cold job against a warm one: the same recipe in a fresh process and in one that has the model loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from compresslab import Recipe, Workspace

from benchmarks.report import spread, write

ROUNDS = 5
COLD = """
import json, sys, time
begin = time.perf_counter()
from compresslab import Recipe, Workspace
first = []
def note(event):
    if event.kind == "draft" and not first:
        first.append(time.perf_counter() - begin)
Workspace().run(Recipe.from_dict(json.loads(sys.argv[1])), report=note, stage="draft")
print(json.dumps([first[0], time.perf_counter() - begin]))
"""


def main() -> None:
    cold: list[list[float]] = []
    warm: list[list[float]] = []
    workspace = Workspace()
    workspace.run(recipe(8), stage="draft")  # loads the baseline; not counted
    for number in range(ROUNDS):  # in turn, so that a slow spell of the machine meets both
        cold.append(run_cold(recipe(2 + number)))
        warm.append(run_warm(workspace, recipe(2 + number)))
    figures = {
        "unit": "seconds",
        "what": "a draft of storyteller with a bit width not seen before, from the call on",
        "cold": {"first_measured": spread([c[0] for c in cold]), "done": spread([c[1] for c in cold])},
        "warm": {"first_measured": spread([w[0] for w in warm]), "done": spread([w[1] for w in warm])},
    }
    print(write("jobs", figures))


def recipe(bits: int) -> Recipe:
    return Recipe().assign(f"quantize_rtn.bits={bits}")


def run_cold(cold: Recipe) -> list[float]:
    """Seconds to the first draft and to the end, interpreter start and imports included."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", COLD, json.dumps(cold.to_dict())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    total = time.perf_counter() - begin
    first, inside = json.loads(done.stdout.splitlines()[-1])
    return [first + total - inside, total]


def run_warm(workspace: Workspace, warm: Recipe) -> list[float]:
    first: list[float] = []
    begin = time.perf_counter()

    def note(event: object) -> None:
        if getattr(event, "kind", "") == "draft" and not first:
            first.append(time.perf_counter() - begin)

    workspace.run(warm, report=note, stage="draft")
    return [first[0], time.perf_counter() - begin]


if __name__ == "__main__":
    main()
