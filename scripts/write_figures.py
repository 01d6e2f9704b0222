"""Writes docs/results.md, and the README's table, from `benchmarks/results/*.json`: no number is typed by hand.

Run `python -m scripts.write_figures` after `make bench`; a test fails where a page says something else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
RESULTS = ROOT / "benchmarks" / "results"
LANES = {  # of benchmarks.runtimes: what each is called
    "onnxruntime float32": "compresslab, float32",
    "onnxruntime int8": "compresslab, 8 bits, group 128",
    "onnxruntime int4": "compresslab, 4 bits, group 128",
    "Q8_0": "llama.cpp, Q8_0",
    "Q4_0": "llama.cpp, Q4_0",
}
SPEED = """\
A Llama of 126 million random weights, batch 1, everybody in turn: how many times as fast as transformers in float32,
medians of {rounds} rounds on {threads} threads. The first row is what the runtime gains without fewer bits."""
PEERS = """\
Perplexity divided by that of the best of llm-compressor, GPTQModel and HQQ, whichever has the setting: same model, same
calibration tokens, same evaluation, median of {seeds} seeds; below 1 is better. The first number is with statistics
taken once, as for the sliders, the second with sequential ones. Part of what is won on symmetric grids of 2 bits is the
grid, not the solver. A sweep of {settings} settings took {faster}."""
LADDER = """\
Held-out stories and questions of the bundled model; perplexity at context length 256; ± is one standard error.
*Same words* is the share of tokens for which both models would choose the same next token."""
HEAD = """\
# Results

Every number on this page is written by `python -m scripts.write_figures` from `benchmarks/results/`, which `make bench`
measures on your machine. [What the numbers mean](numbers.md) explains the words.

## What compression costs the bundled model

![Perplexity and accuracy against size](pictures/ladder.png)
"""
SHOWN = (  # of the ladder's rungs: those that the README has room for
    ["quantize_rtn.bits=8"],
    ["quantize_rtn.bits=4"],
    ["quantize_rtn.bits=3"],
    ["quantize_rtn.bits=2"],
    ["prune_magnitude.sparsity=0.3"],
    ["prune_magnitude.sparsity=0.5"],
    ["prune_magnitude.sparsity=0.3", "quantize_rtn.bits=4"],
)
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"


def page() -> str:
    """docs/results.md."""
    parts = (
        [HEAD, LADDER, "", *_ladder(_read("ladder"))],
        _speed(_read("runtimes")),
        _peers(_read("peers"), _read("sweep")),
        _waiting(_read("dashboard"), _read("jobs")),
    )
    return "\n".join(line for part in parts for line in (*part, ""))


def written(readme: str) -> str:
    """The README with its table brought up to date."""
    head, rest = readme.split(BEGIN, 1)
    lines = [LADDER, "", *_ladder(_read("ladder"), SHOWN)]
    return head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1]


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _ladder(results: dict[str, Any], shown: Sequence[list[str]] | None = None) -> list[str]:
    rungs = [rung for rung in results["rungs"] if shown is None or rung["settings"] in shown]
    return [
        "| recipe | size on disk | perplexity | accuracy | KL to the baseline | same words | flipped answers |",
        "|---|---:|---:|---:|---:|---:|---:|",
        _row("baseline", results["rungs"][0]["baseline"]),
        *(_row(_recipe(rung["settings"]), rung["compressed"]) for rung in rungs),
    ]


def _recipe(assignments: list[str]) -> str:
    return ", ".join(f"`{assignment}`" for assignment in assignments)


def _row(name: str, cells: dict[str, list[float | None]]) -> str:
    shown = [
        name,
        f"{(cells['size_on_disk_bytes'][0] or 0) / 1e6:.2f} MB",
        _plus_minus(cells.get("perplexity"), 1, 3),
        _plus_minus(cells.get("accuracy"), 100, 1, " %"),
        _plus_minus(cells.get("kl_divergence"), 1, 4),
        _plus_minus(cells.get("top1_agreement"), 100, 1, " %"),
        _plus_minus(cells.get("flipped_answers"), 100, 1, " %"),
    ]
    return "| " + " | ".join(shown) + " |"


def _plus_minus(cell: list[float | None] | None, scale: float, digits: int, unit: str = "") -> str:
    if cell is None or cell[0] is None:
        return "–"
    error = "" if cell[1] is None else f" ± {cell[1] * scale:.{digits}f}"
    return f"{cell[0] * scale:.{digits}f}{error}{unit}"


def _speed(results: dict[str, Any]) -> list[str]:
    """How many times as fast as transformers in float32: medians of the ratios of every round."""
    base, depths = results["speed"]["transformers float32"], ("16", "512")
    lines = [
        "## How fast it runs",
        "",
        SPEED.format(**results),
        "",
        "| | reads 512 tokens | writes after 16 | writes after 512 | of the memory's own reading speed |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, title in LANES.items():
        lane = results["speed"][name]
        times = [_times(base["prefill_seconds"], lane["prefill_seconds"])]
        times += [_times(base["decode_seconds"][depth], lane["decode_seconds"][depth]) for depth in depths]
        share = f"{lane['bandwidth']['16']['share']:.0%}" if lane["bandwidth"] else "–"
        lines.append(f"| {title} | " + " | ".join(f"{each:.1f} ×" for each in times) + f" | {share} |")
    return lines


def _times(theirs: list[float], own: list[float]) -> float:
    return median(before / now for before, now in zip(theirs, own, strict=True))


def _peers(results: dict[str, Any], sweep: dict[str, Any]) -> list[str]:
    """Perplexity over that of the best other tool."""
    tables = {name: {e["aim"]: e for e in model["summary"]} for name, model in results["models"].items()}
    faster = " and ".join(
        f"{peer['times_faster']:.0f} times as long with {name}" for name, peer in sweep["peers"].items()
    )
    lines = [
        "## Beside other tools",
        "",
        PEERS.format(seeds=len(results["seeds"]), settings=sweep["settings"], faster=faster),
        "",
        "| setting | " + " | ".join(f"`{name}`" for name in tables) + " |",
        "|---" + "|---:" * len(tables) + "|",
    ]
    first = next(iter(tables.values()))
    shared = [aim for aim in first if all("ratio" in table.get(aim, {}) for table in tables.values())]
    aims = [aim for aim in shared if not aim.startswith("rtn")]  # rounding to nearest has one definition
    return lines + [f"| {aim} | " + " | ".join(_ratio(table[aim]) for table in tables.values()) + " |" for aim in aims]


def _ratio(entry: dict[str, Any]) -> str:
    """Of statistics taken once, the sliders' own, and of sequential ones."""
    ours = entry["ratio"]
    return f"{ours['ours baseline']:.3f} / {ours['ours sequential']:.3f}"


def _waiting(dashboard: dict[str, Any], jobs: dict[str, Any]) -> list[str]:
    cores = dashboard["about"]["cores"]
    rows = [
        ("slider released → estimate painted", dashboard["slider_to_estimate_seconds"]),
        ("slider released → first measured quality", dashboard["slider_to_first_draft_seconds"]),
        ("dashboard started → page answers", dashboard["start_seconds"]),
        ("first measured quality, warm worker", jobs["warm"]["first_measured"]),
        ("first measured quality, cold process", jobs["cold"]["first_measured"]),
    ]
    lines = [
        "## How long you wait",
        "",
        "| waiting time | median | p75 | p95 | times measured |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [f"| {name} | {_ms(s['median'])} | {_ms(s['p75'])} | {_ms(s['p95'])} | {s['count']} |" for name, s in rows]
    memory = dashboard["memory_bytes"] / 1e6
    torch = "torch imported" if dashboard["torch_imported"] else "torch not imported"
    return [*lines, "", f"On {cores} cores without a GPU. The dashboard's process takes {memory:.0f} MB, {torch}."]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(README, PAGE, sep="\n")
