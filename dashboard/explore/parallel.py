"""Parallel coordinates: every measured point as a line through its settings and what they lead to. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from compresslab_dashboard.charts.style import BASELINE, COMPRESSED, plain, styled
from compresslab_dashboard.explore.charts import hover_text
from compresslab_dashboard.explore.dots import Dot
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.explore.scene import Scene, number_text
from compresslab_dashboard.texts import Words


def parallel(scene: Scene, words: Words) -> go.Figure:
    """A line for every measured point, through its settings and what they lead to; better is higher."""
    best, dots = scene.front, scene.placed
    rails = [_setting_rail(scene, number) for number in range(len(scene.axes))]
    rails += [_measure_rail(dots, measure, words) for measure in (scene.quality, scene.cost)]
    figure = go.Figure()
    for shown, color, opacity, width in (
        ([dot for dot in dots if dot.name not in best], BASELINE, 0.4, 1.0),
        ([dot for dot in dots if dot.name in best], COMPRESSED, 0.9, 2.0),
        ([dot for dot in dots if dot.name == scene.picked], COMPRESSED, 1.0, 5.0),
    ):
        figure.add_scatter(**_lines(shown, rails, scene, words), line={"color": color, "width": width}, opacity=opacity)
    _draw_rails(figure, rails)
    styled(figure)
    figure.update_layout(uirevision=scene.name, showlegend=False, hovermode="closest", dragmode=False)
    figure.update_layout(margin={"l": 40, "r": 60, "t": 12, "b": 8})
    figure.update_xaxes(tickangle=None)  # slanted where the names would not fit side by side
    return figure


@dataclass(frozen=True)
class Rail:
    """One upright axis: where each dot crosses it, from 0 to 1, and what is written beside it."""

    label: str
    places: dict[str, float]
    ticks: list[tuple[float, str]]


def _setting_rail(scene: Scene, number: int) -> Rail:
    axis = scene.axes[number]
    last = max(1, len(axis.values) - 1)
    heights = {value: place / last for place, value in enumerate(axis.values)}
    places = {dot.name: heights[dot.coordinates[number]] for dot in scene.dots}
    return Rail(axis.label, places, [(heights[v], axis.text(v)) for v in axis.values])


def _measure_rail(dots: Sequence[Dot], name: str, words: Words) -> Rail:
    measure = MEASURES[name]
    values = {dot.name: number[0] for dot in dots if (number := dot.number(name))}
    drawn = {dot: math.log(max(v, 1e-9)) if measure.log else v for dot, v in values.items()}
    low, high = min(drawn.values(), default=0.0), max(drawn.values(), default=1.0)
    places = {dot: (value - low) / ((high - low) or 1) for dot, value in drawn.items()}
    if measure.better == "lower":
        places = {dot: 1 - place for dot, place in places.items()}
    ends = {places[dot]: number_text(name, (value, 0.0), words) for dot, value in values.items()}
    ticks = [(end, ends[end]) for end in sorted(ends) if end in (0.0, 1.0)]
    return Rail(words(f"explore.measure.{name}"), places, ticks)


def _lines(dots: Sequence[Dot], rails: Sequence[Rail], scene: Scene, words: Words) -> dict[str, Any]:
    """All dots in one trace, with a gap after each: five hundred traces would take a second to draw."""
    x: list[float | None] = []
    y: list[float | None] = []
    names, hovers = [], []
    for dot in dots:
        x += [*range(len(rails)), None]
        y += [*(rail.places[dot.name] for rail in rails), None]
        names += [dot.name] * (len(rails) + 1)
        hovers += [hover_text(dot, scene, words)] * (len(rails) + 1)
    about = {"customdata": names, "hovertext": hovers, "hovertemplate": "%{hovertext}<extra></extra>"}
    return {"x": x, "y": y, "mode": "lines+markers", "marker": {"size": 5}, "cliponaxis": False, **about}


def _draw_rails(figure: go.Figure, rails: Sequence[Rail]) -> None:
    for number, rail in enumerate(rails):
        figure.add_vline(x=number, line={"color": BASELINE, "width": 1}, layer="below")
        for height, text in rail.ticks:
            figure.add_annotation(
                x=number,
                y=height,
                text=plain(text),
                showarrow=False,
                xanchor="left",
                xshift=5,
                yshift=9,
                font={"size": 11},
            )
    labels = [plain(rail.label) for rail in rails]
    figure.update_xaxes(tickvals=list(range(len(rails))), ticktext=labels, showgrid=False, fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.05, 1.12], fixedrange=True)
