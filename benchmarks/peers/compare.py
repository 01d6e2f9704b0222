"""Quality beside the known toolkits: same model, same calibration tokens, same evaluation, three seeds.

python -m benchmarks.peers.compare --llmcompressor PYTHON --gptqmodel PYTHON --hqq PYTHON [--material FOLDER]

A toolkit whose interpreter is not given keeps the rows it has in the results, as long as they are of the same tokens.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.peers import ours
from benchmarks.peers.peer import Peer
from benchmarks.peers.summary import Row, summarise, table
from benchmarks.peers.task import Setting, Task
from benchmarks.peers.workload import Workload, fingerprint, stories260k, storyteller
from benchmarks.report import RESULTS, write

SEEDS = (0, 1, 2)
GRIDS = [(bits, group, symmetric) for bits in (4, 3, 2) for group in (64, 0) for symmetric in (True, False)]
PRUNED = [
    Setting(method, sparsity=sparsity, pattern=pattern)
    for method in ("sparsegpt", "wanda")
    for sparsity, pattern in ((0.5, ""), (0.0, "2:4"))
]
# Each toolkit in the ways that it offers and that a first look over all of them found to be its best.
WAYS = {
    "llmcompressor": [("static", "search"), ("static", "range")],
    "gptqmodel": [("dynamic", "search")],
    "ours": [("static", "search")],  # what we do where nothing is said
}


def main() -> None:
    arguments = _arguments()
    for workload in _workloads(arguments):
        task = workload.task((), SEEDS, arguments.threads)
        rows, versions = _measured(workload, task, arguments)
        model = _merged(workload, task, rows, versions)
        print(workload.name, table(model["summary"]), sep="\n", flush=True)
        write("peers", {"seeds": SEEDS, "models": _earlier() | {workload.name: model}})


def _measured(workload: Workload, task: Task, arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Rows of every toolkit that was asked for, and what is known of the peers' versions."""
    rows: list[Row] = []
    versions: dict[str, Any] = {}
    for name, path in _interpreters(arguments).items():
        answer = Peer(name, path).ask(_for(name, task, arguments))
        versions[name] = answer.get("versions", {}) | {"import_seconds": answer["import_seconds"]}
        rows += [row | {"tool": name} for row in answer["rows"]]
    for statistics in () if arguments.skip_ours else ("baseline", "sequential"):
        tool = f"ours {statistics}"
        found = ours.rows(workload, _for(tool, task, arguments), statistics)
        rows += [row | {"tool": tool} for row in found]
    return rows, versions


def _for(tool: str, task: Task, arguments: argparse.Namespace) -> Task:
    """The tokens with the settings of one toolkit, and a folder of its own where weights are to be kept."""
    folder = arguments.keep_weights / task.model.name / tool.replace(" ", "_") if arguments.keep_weights else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return replace(task, settings=_settings(tool), weights=str(folder.resolve()) if folder else "")


def _merged(workload: Workload, task: Task, rows: list[Row], versions: dict[str, Any]) -> dict[str, Any]:
    """The new rows, and those of other toolkits that were measured before on the same tokens."""
    before = _earlier().get(workload.name, {})
    kept = before if before.get("tokens") == fingerprint(task) else {}
    new = {row["tool"] for row in rows}
    rows = [row for row in kept.get("rows", []) if row["tool"] not in new] + rows
    return {
        "tokens": fingerprint(task),
        "calibration": list(task.calibration[SEEDS[0]].shape),
        "evaluation": list(task.evaluation.shape),
        "baseline_perplexity": ours.baseline_perplexity(workload, task),
        "versions": kept.get("versions", {}) | versions,
        "summary": summarise(rows),
        "rows": rows,
    }


def _settings(tool: str) -> tuple[Setting, ...]:
    if tool == "hqq":
        return tuple(Setting("hqq", *grid) for grid in GRIDS if not grid[2])
    gptq = [Setting("gptq", *grid, *way) for way in WAYS[tool.partition(" ")[0]] for grid in GRIDS]
    rtn = [Setting("rtn", *grid) for grid in GRIDS]
    if tool == "gptqmodel":
        return (*gptq, *rtn)
    awq = [Setting("awq", 4, 64, symmetric) for symmetric in (True, False)]
    hqq = [Setting("hqq", *grid) for grid in GRIDS if not grid[2]] if tool.startswith("ours") else []
    return (*PRUNED, *gptq, *rtn, *awq, *hqq)


def _workloads(arguments: argparse.Namespace) -> list[Workload]:
    sizes = arguments.samples, arguments.most_tokens
    known = [storyteller(*sizes)]
    if arguments.material:
        known.append(stories260k(arguments.material.resolve(), *sizes))
    return [workload for workload in known if arguments.model in ("", workload.name)]


def _interpreters(arguments: argparse.Namespace) -> dict[str, Path]:
    given = {name: getattr(arguments, name) for name in ("llmcompressor", "gptqmodel", "hqq")}
    return {name: path for name, path in given.items() if path}


def _earlier() -> dict[str, Any]:
    file = RESULTS / "peers.json"
    return json.loads(file.read_text(encoding="utf-8"))["models"] if file.exists() else {}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("llmcompressor", "gptqmodel", "hqq"):
        parser.add_argument(f"--{name}", type=Path, help="the interpreter of an environment that has it")
    parser.add_argument("--material", type=Path, help="folder with stories260K/ and tinystories/")
    parser.add_argument("--model", default="", help="storyteller or stories260K alone")
    parser.add_argument("--keep-weights", type=Path, help="folder for the weights that every run leaves")
    parser.add_argument("--skip-ours", action="store_true", help="keep our own rows as they are")
    parser.add_argument("--samples", type=int, default=128, help="calibration sequences of 128 tokens")
    parser.add_argument("--most-tokens", type=int, default=32768, help="of the evaluation text")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
