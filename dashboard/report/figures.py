"""The charts of a report: those of the Studio for one run, the same things side by side for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from compresslab.records.paces import paces
from compresslab.records.results import Measurement, RunRecord
from compresslab_dashboard.charts import figures
from compresslab_dashboard.charts.style import (
    BASELINE,
    COMPRESSED,
    FURTHER,
    SYMBOLS,
    bars,
    error_bars,
    plain,
    spaced,
    styled,
)
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.texts import Words, formats

HEIGHT, ROW_HEIGHT = 260, 34  # pixels
COMPARED = ("size_on_disk_bytes", "perplexity", "accuracy", "decode_tokens_per_second")


@dataclass(frozen=True)
class Drawn:
    """A figure, its heading, and what it shows in words."""

    name: str
    title: str
    figure: go.Figure
    description: str
    height: int = HEIGHT


def charts_of(records: Sequence[RunRecord], words: Words) -> list[Drawn]:
    if len(records) == 1:
        return _of_one(records[0], words)
    compared = [_compared(metric, records, words) for metric in COMPARED]
    return [drawn for drawn in (_overview(records, words), *compared) if drawn is not None]


def _of_one(record: RunRecord, words: Words) -> list[Drawn]:
    found = record.measurements
    drawn = []
    if all(figures.disk_bytes(found)):
        drawn.append(
            Drawn("size", words("verdict.size"), figures.size_chart(found, words), figures.describe_size(found, words))
        )
    if paces(found):
        figure, described = figures.speed_chart(found, words), figures.describe_speed(found, words)
        drawn.append(Drawn("speed", words("panel.speed"), figure, described))
    if figures.kinds(found):
        figure, described = figures.accuracy_by_kind_chart(found, words), figures.describe_kinds(found, words)
        drawn.append(Drawn("kinds", words("panel.accuracy"), figure, described))
    if record.losses:
        described = figures.describe_loss(record.losses, words)
        drawn.append(Drawn("loss", words("panel.loss"), _loss(record, words), described))
    return drawn


def _loss(record: RunRecord, words: Words) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[point.step for point in record.losses],
        y=[point.loss for point in record.losses],
        mode="lines",
        line={"color": COMPRESSED, "width": 2},
        hovertemplate="%{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_xaxes(title_text=words("chart.loss.x"))
    figure.update_yaxes(title_text=words("chart.loss.y"))
    return styled(figure).update_layout(showlegend=False)


def _overview(records: Sequence[RunRecord], words: Words) -> Drawn | None:
    """Size against quality, a point a run, each against its own baseline; None where none has a perplexity."""
    figure = go.Figure()
    for place, record in enumerate(records):
        (before, after), found = figures.disk_bytes(record.measurements), record.find("perplexity")
        if before and found is not None and found.change is not None:
            name = plain(run_name(place, record, words))
            figure.add_scatter(
                x=[100 * after / before],
                y=[1 + found.change / 100],
                error_y=error_bars([(found.change_error or 0.0) / 100]),
                mode="markers",
                name=name,
                marker={"color": color_of(place), "size": 14, "symbol": SYMBOLS[place % len(SYMBOLS)]},
                hovertemplate=f"{name}<br>%{{x:.1f}} %, %{{y:.3f}}×<extra></extra>",
            )
    if not figure.data:
        return None
    figure.add_hline(y=1, line={"color": BASELINE, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text=words("chart.history.x"), ticksuffix=" %", rangemode="tozero")
    figure.update_yaxes(title_text=words("chart.history.y"), ticksuffix="×", type="log", nticks=6)
    described = figures.describe_history(len(records), words)
    return Drawn("overview", words("report.chart.overview"), styled(figure), described, height=HEIGHT + 60)


def _compared(metric: str, records: Sequence[RunRecord], words: Words) -> Drawn | None:
    """One bar a run below the first run's baseline, with its error; None where no run has the metric."""
    rows = [(words("variant.baseline"), records[0].find(metric, "baseline"), BASELINE)]
    rows += [
        (run_name(place, record, words), record.find(metric), color_of(place)) for place, record in enumerate(records)
    ]
    known = [(name, found, color) for name, found, color in rows if found is not None]
    if all(color == BASELINE for _, _, color in known):
        return None
    title = words.measurement(metric)
    described = words("report.chart.compared", what=title, values=_in_words(known, words))
    height = 60 + ROW_HEIGHT * len(known)
    return Drawn(metric, title, _bars(known, words), described, height)


def _bars(rows: Sequence[tuple[str, Measurement, str]], words: Words) -> go.Figure:
    figure = go.Figure()
    for name, found, color in reversed(rows):
        scale = _shown_in(found.unit)[0]
        look = bars([plain(name)], [scale * found.value], plain(name), color, hatched=found.kernel == "simulated")
        figure.add_bar(
            **look,
            text=[spaced(formats.measured(found, words.language))],
            error_x=error_bars([scale * (found.error or 0.0)]),
        )
    scale, suffix = _shown_in(rows[0][1].unit)
    longest = scale * max(found.value for _, found, _ in rows)
    figure.update_xaxes(ticksuffix=suffix, range=[0, 1.6 * longest], nticks=5)
    if rows[0][1].unit == "fraction":
        figure.update_xaxes(tickvals=[0, 25, 50, 75, 100])  # the room for the labels is no part of the scale
    return styled(figure, bars=True).update_layout(barmode="overlay", showlegend=False)


def _shown_in(unit: str) -> tuple[float, str]:
    """Factor and suffix of an axis in that unit."""
    return {"bytes": (1e-6, " MB"), "fraction": (100.0, " %")}.get(unit, (1.0, ""))


def _in_words(rows: Sequence[tuple[str, Measurement, str]], words: Words) -> str:
    comma = words("verdict.comma")
    return comma.join(f"{name} {formats.measured(found, words.language)}" for name, found, _ in rows)


def color_of(place: int) -> str:
    """Of the run at that place: the accent first, then the palette."""
    return (COMPRESSED, *FURTHER)[place % (1 + len(FURTHER))]


def run_name(place: int, record: RunRecord, words: Words) -> str:
    """A letter and the recipe: two runs of one recipe are still told apart."""
    return f"{chr(ord('A') + place)} · {steps_text(record.recipe, words)}"
