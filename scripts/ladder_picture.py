"""The curve of the README: what bits and sparsity cost the bundled model, from benchmarks/results/ladder.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from compresslab_dashboard.charts.style import BASELINE, COMPRESSED, FURTHER
from plotly.subplots import make_subplots

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "ladder.json"
PAPER, INK, QUIET, LINE = "#FBFAF6", "#22252A", "#5D6167", "#DBD6CA"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
METRICS = (("perplexity", "perplexity on held-out stories", 1), ("accuracy", "right answers, %", 100))
LADDERS = (
    ("fewer bits", "quantize_rtn.bits", COMPRESSED, "circle", "{:.0f} bit", "bottom left"),
    ("pruned", "prune_magnitude.sparsity", FURTHER[0], "square", "{:.0%}", "top right"),
)
HIGHEST = 2.0  # times the baseline's perplexity: what lies beyond would press the rest flat

Rung = tuple[float, dict[str, list[float | None]]]


def ladder_page() -> str:
    """A page with the figure and all that it needs."""
    figure = ladder_figure(json.loads(RESULTS.read_text(encoding="utf-8")))
    body = figure.to_html(include_plotlyjs=True, full_html=False, config={"staticPlot": True})
    return f'<!doctype html><html><body style="margin:0;background:{PAPER}">{body}</body></html>'


def ladder_figure(results: dict[str, Any]) -> go.Figure:
    figure = make_subplots(cols=2, horizontal_spacing=0.09)
    base = results["rungs"][0]["baseline"]
    for column, (metric, title, scale) in enumerate(METRICS, start=1):
        for name, setting, *look in LADDERS:
            rungs = rungs_of(results, setting)
            figure.add_trace(line(rungs, metric, scale, name, *look), row=1, col=column)
        figure.add_hline(y=base[metric][0] * scale, line={"color": BASELINE, "width": 1.5}, row=1, col=column)
        figure.add_annotation(
            **note("baseline", BASELINE, "right"),
            x=base["size_on_disk_bytes"][0] / 1e6,
            y=base[metric][0] * scale,
            yshift=10 if metric == "accuracy" else -10,
            row=1,
            col=column,
        )
        figure.update_yaxes(title_text=title, row=1, col=column)
    worst = max(rung["compressed"]["perplexity"][0] for rung in results["rungs"]) * 1.05
    figure.update_yaxes(range=[base["perplexity"][0] * 0.9, min(worst, base["perplexity"][0] * HIGHEST)], row=1, col=1)
    figure.update_xaxes(range=[0, base["size_on_disk_bytes"][0] / 1e6 * 1.1])
    figure.update_yaxes(range=[0, 104], row=1, col=2)
    return styled(figure)


def rungs_of(results: dict[str, Any], setting: str) -> list[Rung]:
    """Those that changed this one setting and nothing else, by its value."""
    found = []
    for rung in results["rungs"]:
        name, _, value = rung["settings"][0].partition("=")
        if len(rung["settings"]) == 1 and name == setting:
            found.append((float(value), rung["compressed"]))
    return sorted(found, key=lambda rung: rung[0])


def line(
    rungs: list[Rung], metric: str, scale: float, name: str, color: str, symbol: str, label: str, place: str
) -> go.Scatter:
    values = [cells[metric] for _, cells in rungs]
    return go.Scatter(
        x=[(cells["size_on_disk_bytes"][0] or 0) / 1e6 for _, cells in rungs],
        y=[(value or 0) * scale for value, _ in values],
        error_y={"array": [(error or 0) * scale for _, error in values], "thickness": 1.2, "width": 0},
        mode="lines+markers+text",
        name=name,
        showlegend=metric == "perplexity",
        text=[label.format(setting) for setting, _ in rungs],
        textposition=place,
        textfont={"color": color, "size": 12},
        line={"color": color, "width": 2},
        marker={"color": color, "symbol": symbol, "size": 8},
    )


def note(text: str, color: str, anchor: str) -> dict[str, Any]:
    return {"text": text, "showarrow": False, "font": {"color": color, "size": 12}, "xanchor": anchor}


def styled(figure: go.Figure) -> go.Figure:
    axis = {"gridcolor": LINE, "zeroline": False, "linecolor": LINE, "tickfont": {"color": QUIET, "size": 12}}
    axis |= {"title_font": {"color": QUIET, "size": 13}}
    figure.update_xaxes(title_text="size on disk, MB", **axis)
    figure.update_yaxes(**axis)
    return figure.update_layout(
        width=1200,
        height=520,
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        font={"family": FONT, "color": INK},
        margin={"l": 70, "r": 30, "t": 50, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.1, "font": {"size": 13}},
    )
