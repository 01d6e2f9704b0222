"""Writes the README's figures from `benchmarks/results/*.json`: no number in it is typed by hand.

Run `python -m scripts.write_figures` after `make bench`; a test fails when the README says something else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"


def block() -> str:
    """The text between the two marks."""
    return "\n".join([*_ladder(_read("ladder")), "", *_waiting(_read("dashboard"), _read("jobs")), ""])


def written(readme: str) -> str:
    """The README with its figures brought up to date."""
    head, rest = readme.split(BEGIN, 1)
    return head + BEGIN + block() + END + rest.split(END, 1)[1]


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _ladder(results: dict[str, Any]) -> list[str]:
    base = results["rungs"][0]["baseline"]
    lines = [
        "![Perplexity and accuracy against size](docs/pictures/ladder.png)",
        "",
        "Held-out stories and questions of the bundled model; perplexity at context 256; ± is one standard error.",
        "*Same words* is the share of tokens for which both models would choose the same next token.",
        "",
        "| recipe | size on disk | perplexity | accuracy | KL to the baseline | same words | flipped answers |",
        "|---|---:|---:|---:|---:|---:|---:|",
        _row("baseline", base),
    ]
    return lines + [_row(_recipe(rung["settings"]), rung["compressed"]) for rung in results["rungs"]]


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


def _waiting(dashboard: dict[str, Any], jobs: dict[str, Any]) -> list[str]:
    cores = dashboard["about"]["cores"]
    rows = [
        ("slider released → estimate painted", dashboard["slider_to_estimate_seconds"]),
        ("slider released → first measured quality", dashboard["slider_to_first_draft_seconds"]),
        ("dashboard started → page answers", dashboard["start_seconds"]),
        ("first measured quality, warm worker", jobs["warm"]["first_measured"]),
        ("first measured quality, cold process", jobs["cold"]["first_measured"]),
    ]
    lines = ["| waiting time | median | p75 | p95 | times measured |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {name} | {_ms(s['median'])} | {_ms(s['p75'])} | {_ms(s['p95'])} | {s['count']} |" for name, s in rows]
    memory = dashboard["memory_bytes"] / 1e6
    torch = "torch imported" if dashboard["torch_imported"] else "torch not imported"
    return [*lines, "", f"On {cores} cores without a GPU. The dashboard's process takes {memory:.0f} MB, {torch}."]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(README)
