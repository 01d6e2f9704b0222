"""Cost against quality: what is measured, what is only expected, and which points no other one beats. No Streamlit.

An estimate is an outline, a draft light, a final number solid; what another point beats is faint. A simulated speed is
struck through. The `customdata` of every mark is the name of its dot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from compresslab_dashboard.charts.style import BASELINE, COMPRESSED, FURTHER, SYMBOLS, plain, styled
from compresslab_dashboard.explore.charts import baseline, give_room, marks, quality_axis
from compresslab_dashboard.explore.dots import Dot
from compresslab_dashboard.explore.scene import Scene, SceneAxis, axis_suffix, on_axis
from compresslab_dashboard.texts import Words

FAINT, CLEAR = 0.28, 1.0


def pareto(scene: Scene, words: Words) -> go.Figure:
    """Size or speed against quality with standard errors; the points that no other one beats are joined."""
    best = scene.front
    figure = go.Figure()
    _front_line(figure, [dot for dot in scene.placed if dot.name in best], scene)
    expected = [dot for dot in scene.foreseen.values() if dot.number(scene.cost)]
    for place, (name, dots) in enumerate(_groups([*scene.placed, *expected], scene)):
        drawn = [dot for dot in dots if dot.name not in scene.foreseen]
        _group(figure, place, name, [dot for dot in drawn if dot.name not in best], FAINT, scene, words)
        _group(figure, place, name, [dot for dot in drawn if dot.name in best], CLEAR, scene, words)
        _group(figure, place, name, [dot for dot in dots if dot.name in scene.foreseen], CLEAR, scene, words)
    if _method_axis(scene) is not None:
        _legend(figure, scene)
    _strike_through(figure, scene, words)
    _baseline_mark(figure, scene, words)
    _mark_dot(figure, scene)
    _cost_axis(figure, scene, words)
    quality_axis(figure, scene, words)
    styled(figure)
    give_room(figure)
    figure.update_layout(uirevision=scene.name, showlegend=True, hovermode="closest")
    return figure


def _group(
    figure: go.Figure, place: int, name: str, dots: list[Dot], opacity: float, scene: Scene, words: Words
) -> None:
    """Always as many traces, empty or not: so plotly knows them again when points come."""
    color = (COMPRESSED, *FURTHER)[place % (1 + len(FURTHER))]
    symbol = SYMBOLS[place % len(SYMBOLS)]
    drawn = marks(dots, scene, words, vertical=scene.quality, horizontal=scene.cost, symbol=symbol, color=color)
    estimates = any(dot.name in scene.foreseen for dot in dots)
    drawn["marker"] |= {"opacity": opacity, "line": {"color": color, "width": 1.2 if estimates else 2}}
    for side in ("error_x", "error_y"):
        drawn[side] |= {"color": color, "thickness": 0.6 if estimates or opacity < CLEAR else 1.2}
    figure.add_scatter(**drawn, mode="markers", name=plain(name), legendgroup=name, showlegend=False)


def _legend(figure: go.Figure, scene: Scene) -> None:
    """The methods, whether they have points yet or not."""
    for place, (name, _) in enumerate(_groups([], scene)):
        marker = {"color": (COMPRESSED, *FURTHER)[place % (1 + len(FURTHER))], "symbol": SYMBOLS[place % len(SYMBOLS)]}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=plain(name), legendgroup=name)


def _strike_through(figure: go.Figure, scene: Scene, words: Words) -> None:
    """What hatching is to a bar: a speed of rounded numbers in a dense matmul."""
    struck = [dot for dot in scene.placed if dot.reading is not None and scene.cost in dot.reading.simulated]
    places = [_place(dot, scene) for dot in struck]
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="markers",
        marker={"symbol": "line-ne-open", "size": 18, "color": BASELINE, "line": {"width": 1.5}},
        hoverinfo="skip",
        name=words("kernel.simulated"),
        showlegend=bool(struck),
        cliponaxis=False,
    )


def _groups(dots: Sequence[Dot], scene: Scene) -> list[tuple[str, list[Dot]]]:
    """By method where the sweep tries several: each has its colour and symbol."""
    axis = _method_axis(scene)
    if axis is None:
        return [("", list(dots))]
    number = scene.axes.index(axis)
    return [(axis.text(v), [dot for dot in dots if dot.coordinates[number] == v]) for v in axis.values]


def _method_axis(scene: Scene) -> SceneAxis | None:
    return next((axis for axis in scene.axes if axis.of_methods), None)


def _front_line(figure: go.Figure, dots: Sequence[Dot], scene: Scene) -> None:
    places = sorted((_place(dot, scene) for dot in dots), key=lambda place: place[0])
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="lines",
        line={"color": BASELINE, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _place(dot: Dot, scene: Scene) -> tuple[float, float]:
    x, y = ((dot.number(measure) or (math.nan, 0.0))[0] for measure in (scene.cost, scene.quality))
    return on_axis(scene.cost, x), on_axis(scene.quality, y)


def _baseline_mark(figure: go.Figure, scene: Scene, words: Words) -> None:
    x, y = (baseline(scene, measure) for measure in (scene.cost, scene.quality))
    if x is not None and y is not None:
        figure.add_scatter(
            x=[on_axis(scene.cost, x)],
            y=[on_axis(scene.quality, y)],
            mode="markers",
            marker={"color": BASELINE, "size": 12, "symbol": "diamond"},
            name=words("variant.baseline"),
            hovertemplate=f"{words('variant.baseline')}<extra></extra>",
            cliponaxis=False,
        )


def _mark_dot(figure: go.Figure, scene: Scene) -> None:
    places = [_place(dot, scene) for dot in scene.placed if dot.name == scene.picked]
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="markers",
        marker={"color": COMPRESSED, "size": 20, "symbol": "circle-open", "line": {"width": 2}},
        hoverinfo="skip",
        showlegend=False,
    )


def _cost_axis(figure: go.Figure, scene: Scene, words: Words) -> None:
    title = words(f"explore.axis.{scene.cost}")
    figure.update_xaxes(title_text=title, ticksuffix=axis_suffix(scene.cost), rangemode="tozero", nticks=7)
