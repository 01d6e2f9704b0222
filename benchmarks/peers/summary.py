"""What the rows say: for every aim each toolkit's best way there, over the seeds, and ours against the best peer's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

Row = dict[str, Any]
Ways = dict[tuple[str, str], dict[int, float]]  # (order, scales) -> seed -> perplexity


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per aim. A toolkit's way is the order and scales with its lowest median; the same rule for all."""
    aims: dict[str, dict[str, Ways]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in rows:
        if "perplexity" in row:
            setting = row["setting"]
            ways = aims[row["aim"]][row["tool"]]
            ways[setting["order"], setting["scales"]][row["seed"]] = row["perplexity"]
    return [_entry(aim, tools) for aim, tools in aims.items()]


def _entry(aim: str, tools: dict[str, Ways]) -> dict[str, Any]:
    best = {tool: _best(ways) for tool, ways in tools.items()}
    entry: dict[str, Any] = {"aim": aim, "median_perplexity": {}, "way": {}}
    for tool, (way, values) in best.items():
        entry["median_perplexity"][tool] = median(values.values())
        entry["way"][tool] = " ".join(way)
    peers = {tool: value for tool, value in entry["median_perplexity"].items() if not tool.startswith("ours")}
    if peers:
        leader = min(peers, key=lambda tool: peers[tool])
        entry["best_peer"] = leader
        entry["ratio"] = {
            tool: _ratio(values, best[leader][1]) for tool, (_, values) in best.items() if tool.startswith("ours")
        }
    return entry


def _best(ways: Ways) -> tuple[tuple[str, str], dict[int, float]]:
    return min(ways.items(), key=lambda item: median(item[1].values()))


def _ratio(ours: dict[int, float], theirs: dict[int, float]) -> float | None:
    """Median over the seeds that both have of ours / theirs: below 1 ours is the better one."""
    both = sorted(set(ours) & set(theirs))
    return median(ours[seed] / theirs[seed] for seed in both) if both else None


def table(entries: Iterable[dict[str, Any]]) -> str:
    """For the eye: an aim a line."""
    lines = []
    for entry in entries:
        values = "  ".join(f"{tool} {value:.4f}" for tool, value in sorted(entry["median_perplexity"].items()))
        ratios = "  ".join(f"{tool} x{ratio:.4f}" for tool, ratio in entry.get("ratio", {}).items() if ratio)
        lines.append(f"{entry['aim']:36s} {values}  {ratios}")
    return "\n".join(lines)
