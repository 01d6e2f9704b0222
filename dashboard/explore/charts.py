"""Points of a sweep -> plotly figures. No Streamlit. The `customdata` of every mark is the name of its dot.

Deeper orange is more loss. An estimate is an outline, a draft light, a final number solid or bold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from compresslab_dashboard.charts.style import BASELINE, COMPRESSED, error_bars, plain, styled, tint
from compresslab_dashboard.explore.dots import Dot, measured
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.explore.scene import Scene, axis_suffix, dot_text, number_text, on_axis, told
from compresslab_dashboard.texts import Words
from plotly.subplots import make_subplots

MOST_PANELS = 4  # beside each other; more values of a third setting are chosen from a list
UNKNOWN_PART = 0.1  # of the colour scale: cells without a number
UNKNOWN, LEAST, MOST = "rgba(133,136,141,0.10)", "rgba(217,96,28,0.05)", "rgba(217,96,28,0.72)"
COLORS = [[0.0, UNKNOWN], [UNKNOWN_PART - 1e-6, UNKNOWN], [UNKNOWN_PART, LEAST], [1.0, MOST]]
LIGHT = 0.25  # how much of its colour fills the mark of a draft
SIGNS = {"aside": "–", "waiting": "·", "queued": "·", "running": "…", "failed": "✕", "stopped": "‖", "done": ""}


# -- heat map --------------------------------------------------------------------------------------------------


def heat_map(scene: Scene, words: Words) -> go.Figure:
    """Quality over two settings, columns and rows; a third one side by side."""
    across, down = scene.axes[:2]
    panels = scene.axes[2].texts if len(scene.axes) > 2 else ("",)
    parts = [scene.where(2, v) for v in scene.axes[2].values] if len(scene.axes) > 2 else [scene]
    figure = make_subplots(1, len(parts), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=_titles(scene))
    levels = _levels(scene)
    for column, (part, _) in enumerate(zip(parts, panels, strict=True), start=1):
        figure.add_trace(go.Heatmap(**_cells(part, levels, words)), row=1, col=column)
        figure.update_xaxes(title_text=plain(across.label), row=1, col=column)
        _mark_picked(figure, part, column)
    figure.update_yaxes(title_text=plain(down.label), row=1, col=1)
    styled(figure)
    figure.update_xaxes(type="category", showgrid=False, fixedrange=True, ticks="")
    figure.update_yaxes(type="category", showgrid=False, fixedrange=True, ticks="", autorange="reversed")
    give_room(figure)
    figure.update_annotations(font_size=12)
    figure.update_layout(uirevision=scene.name, showlegend=False, dragmode=False, margin={"t": 26 if panels[0] else 6})
    return figure


def give_room(figure: go.Figure) -> None:
    """Between the ticks of the upright axis and its title."""
    figure.update_yaxes(title_standoff=14)


def _titles(scene: Scene) -> list[str] | None:
    if len(scene.axes) < 3:
        return None
    return [plain(scene.axes[2].told(value)) for value in scene.axes[2].values]


def _levels(scene: Scene) -> dict[str, float]:
    """How deep each dot's colour is, 0 the best of all and 1 the worst."""
    dots = measured(scene.dots, scene.quality)
    measure = MEASURES[scene.quality]
    values = {dot.name: number[0] for dot in dots if (number := dot.number(scene.quality))}
    if measure.log:  # factors: the first percents matter as much as the last hundreds
        values = {name: math.log(max(value - 1, 0.0) + 0.01) for name, value in values.items()}
    sign = 1 if measure.better == "lower" else -1
    low, high = (f((sign * v for v in values.values()), default=0.0) for f in (min, max))
    return {name: (sign * value - low) / ((high - low) or 1) for name, value in values.items()}


def _cells(scene: Scene, levels: dict[str, float], words: Words) -> dict[str, Any]:
    across, down = scene.axes
    by_place = {dot.coordinates: dot for dot in scene.dots}
    rows = [[by_place.get((column, row)) for column in across.values] for row in down.values]
    return {
        "x": [plain(text) for text in across.texts],
        "y": [plain(text) for text in down.texts],
        "z": [[_depth(dot, levels) for dot in row] for row in rows],
        "text": [[_cell_text(dot, scene, words) for dot in row] for row in rows],
        "customdata": [[dot.name if dot else "" for dot in row] for row in rows],
        "hovertext": [[_cell_hover(dot, scene, words) for dot in row] for row in rows],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "texttemplate": "%{text}",
        "textfont": {"size": 12 if len(across.values) <= 6 else 10},
        "colorscale": COLORS,
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
    }


def _cell_hover(dot: Dot | None, scene: Scene, words: Words) -> str:
    return "" if dot is None else hover_text(scene.foreseen.get(dot.name, dot), scene, words)


def _depth(dot: Dot | None, levels: dict[str, float]) -> float:
    if dot is None or dot.name not in levels:
        return 0.0
    return UNKNOWN_PART + (1 - UNKNOWN_PART) * levels[dot.name]


def _cell_text(dot: Dot | None, scene: Scene, words: Words) -> str:
    """Bold where it is final; an estimate carries its sign."""
    if dot is None:
        return ""
    expected = scene.foreseen.get(dot.name)
    number = (expected or dot).number(scene.quality)
    if number is None:
        return SIGNS[dot.state]
    text = plain(number_text(scene.quality, number, words, error=False))
    if expected:
        return f"<i>≈ {text}</i>"
    return text if dot.draft else f"<b>{text}</b>"


def _mark_picked(figure: go.Figure, scene: Scene, column: int) -> None:
    for dot in scene.dots:
        if dot.name == scene.picked:
            x, y = (axis.values.index(v) for axis, v in zip(scene.axes, dot.coordinates, strict=True))
            place = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
            figure.add_shape(type="rect", line={"color": COMPRESSED, "width": 3}, row=1, col=column, **place)


# -- one setting -----------------------------------------------------------------------------------------------


def curve(scene: Scene, words: Words) -> go.Figure:
    """Quality over the values of one setting."""
    (axis,) = scene.axes
    figure = go.Figure()
    for dots, mode in ((measured(scene.dots, scene.quality), "lines+markers"), (scene.foreseen.values(), "markers")):
        along = sorted(dots, key=lambda dot: axis.values.index(dot.coordinates[0]))
        figure.add_scatter(
            x=[plain(axis.text(dot.coordinates[0])) for dot in along],
            **marks(along, scene, words, vertical=scene.quality),
            mode=mode,
            line={"color": COMPRESSED, "width": 1.5},
        )
    _baseline_line(figure, scene)
    figure.update_xaxes(
        type="category",
        title_text=plain(axis.label),
        categoryorder="array",
        categoryarray=[plain(t) for t in axis.texts],
    )
    quality_axis(figure, scene, words)
    styled(figure)
    give_room(figure)
    figure.update_layout(uirevision=scene.name, showlegend=False)
    return figure


def _baseline_line(figure: go.Figure, scene: Scene) -> None:
    before = baseline(scene, scene.quality)
    if before is not None:
        figure.add_hline(y=on_axis(scene.quality, before), line={"color": BASELINE, "width": 1.5, "dash": "dot"})


def baseline(scene: Scene, measure: str) -> float | None:
    return next((dot.reading.baseline.get(measure) for dot in scene.dots if dot.reading), None)


# -- what charts of points share -------------------------------------------------------------------------------


def marks(
    dots: Sequence[Dot],
    scene: Scene,
    words: Words,
    *,
    vertical: str,
    horizontal: str = "",
    symbol: str = "circle",
    color: str = COMPRESSED,
) -> dict[str, Any]:
    """Positions, errors, names and hover texts of dots that have the numbers."""
    marks: dict[str, Any] = {
        "customdata": [dot.name for dot in dots],
        "hovertext": [hover_text(dot, scene, words) for dot in dots],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "color": [tint(color, LIGHT) if dot.draft else color for dot in dots],
            "size": 10,
            "symbol": [f"{symbol}-open" if dot.name in scene.foreseen else symbol for dot in dots],
            "line": {"color": color, "width": 2},
        },
        "cliponaxis": False,
    }
    for side, measure in (("y", vertical), ("x", horizontal)):
        if measure:
            numbers = [dot.number(measure) or (math.nan, 0.0) for dot in dots]
            marks[side] = [on_axis(measure, value) for value, _ in numbers]
            marks[f"error_{side}"] = {**error_bars([on_axis(measure, spread) for _, spread in numbers]), "width": 0}
    return marks


def quality_axis(figure: go.Figure, scene: Scene, words: Words) -> None:
    kind = "log" if MEASURES[scene.quality].log else "linear"
    title = words(f"explore.axis.{scene.quality}")
    figure.update_yaxes(title_text=title, ticksuffix=axis_suffix(scene.quality), type=kind, nticks=6)


def hover_text(dot: Dot, scene: Scene, words: Words) -> str:
    """What a pointer over the dot reads, as plotly's HTML."""
    name = [f"<b>{plain(dot_text(dot, scene.axes, words))}</b>"] if scene.axes or dot.reading else []
    numbers = [
        f"{words(f'explore.measure.{measure}')}: {plain(told(dot, measure, words))}"
        for measure in (scene.quality, scene.cost)
        if dot.number(measure) is not None
    ]
    stage = f"label.{dot.reading.stage}" if dot.reading else f"explore.state.{dot.state}"
    return "<br>".join([*name, *numbers, words(stage)])
