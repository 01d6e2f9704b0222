"""Measurements -> plotly figures, and the two charts that stream. No Streamlit, no torch: tested alone.

One visual grammar: the baseline is grey, the compressed model the accent; an estimate is an outline, a draft is light
with its error band, a final number solid; a simulated kernel is hatched and says so. Errors are one standard error.

Every word comes through `words`; the keys begin with `chart.`, `variant.` and `kernel.`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import plotly.graph_objects as go
from compresslab.planning.estimate import Estimate
from compresslab.records.paces import SPEED_METRICS, Pace, paces
from compresslab.records.results import LossPoint, Measurement, find
from compresslab.records.run_row import RunRow
from compresslab_dashboard.charts.style import (
    BASELINE,
    COMPRESSED,
    FURTHER,
    SYMBOLS,
    bars,
    error_bars,
    key_line,
    plain,
    spaced,
    styled,
    whole_steps,
)
from compresslab_dashboard.recipe.words import model_text
from compresslab_dashboard.texts import Words, formats


class DraftLike(Protocol):
    """Measurements after so many tokens: an event, or a point of a job's view."""

    samples: int
    measurements: list[Measurement]


# -- charts that stream ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StreamLine:
    """One line that grows. `error` is the half width of its band, `start` the place of its first point in the whole."""

    name: str
    color: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float | None, ...] = ()
    start: int = 0
    light: bool = True  # a draft; False once the numbers are final


@dataclass(frozen=True)
class StreamChart:
    """What the streaming chart draws. Another `stream` (a job's number, say) begins a new drawing, zoom and all."""

    stream: str
    lines: tuple[StreamLine, ...]
    x_title: str
    y_title: str
    description: str
    empty: str
    x_end: float | None = None  # where the axis will end, so that it does not move while the line grows
    y_suffix: str = ""
    reference: float | None = None
    reference_label: str = ""

    def since(self, starts: Sequence[int]) -> StreamChart:
        """The same chart without the points that the browser already has, line by line."""
        return replace(self, lines=tuple(_since(line, at) for line, at in zip(self.lines, starts, strict=True)))


def _since(line: StreamLine, start: int) -> StreamLine:
    return replace(line, x=line.x[start:], y=line.y[start:], error=line.error[start:], start=start)


def quality_stream(
    drafts: Sequence[DraftLike],
    measured: Sequence[Measurement],
    words: Words,
    *,
    stream: str = "",
    total: int | None = None,
) -> StreamChart:
    """Change of perplexity against the baseline, in percent, over the tokens seen; final once it is in `measured`."""
    points = [(d.samples, m) for d in drafts for m in d.measurements if _is_quality(m)]
    final = find(measured, "perplexity", "compressed")
    if final and final.stage == "final" and _is_quality(final) and final.samples > (points[-1][0] if points else 0):
        points.append((final.samples, final))
    line = StreamLine(
        words("variant.compressed"),
        COMPRESSED,
        x=tuple(float(samples) for samples, _ in points),
        y=tuple(_rounded(m.change or 0.0) for _, m in points),
        error=tuple(None if m.change_error is None else _rounded(m.change_error) for _, m in points),
        light=final is None or final.stage != "final",
    )
    return StreamChart(
        stream=stream,
        lines=(line,),
        x_title=words("chart.quality.x"),
        y_title=words("chart.quality.y"),
        description=describe_quality(points[-1][1] if points else None, words),
        empty=words("chart.quality.empty"),
        x_end=total,
        y_suffix=" %",
        reference=0.0,
        reference_label=words("variant.baseline"),
    )


def _is_quality(measurement: Measurement) -> bool:
    return measurement.metric == "perplexity" and measurement.change is not None


def describe_quality(latest: Measurement | None, words: Words) -> str:
    if latest is None or latest.change is None:
        return words("chart.quality.empty")
    return words(
        "chart.quality.describe",
        change=formats.change(latest.change, latest.change_error),
        samples=f"{latest.samples:,}",
    )


def loss_stream(
    losses: Sequence[LossPoint], words: Words, *, stream: str = "", total: int | None = None
) -> StreamChart:
    """Loss of the distillation over its steps."""
    line = StreamLine(
        words("chart.loss.y"),
        COMPRESSED,
        x=tuple(float(point.step) for point in losses),
        y=tuple(_rounded(point.loss) for point in losses),
        light=False,
    )
    return StreamChart(
        stream=stream,
        lines=(line,),
        x_title=words("chart.loss.x"),
        y_title=words("chart.loss.y"),
        description=describe_loss(losses, words),
        empty=words("chart.loss.empty"),
        x_end=total,
    )


def describe_loss(losses: Sequence[LossPoint], words: Words) -> str:
    if not losses:
        return words("chart.loss.empty")
    first, last = losses[0], losses[-1]
    return words(
        "chart.loss.describe", first=formats.number(first.loss), last=formats.number(last.loss), steps=f"{last.step:,}"
    )


def _rounded(value: float) -> float:
    """Five significant digits: a message is half as long, and no eye sees the rest. Cut where a drawing ends."""
    return float(f"{max(-1e12, min(1e12, value)):.5g}")


# -- finished charts -------------------------------------------------------------------------------------------


def speed_chart(measurements: Sequence[Measurement], words: Words) -> go.Figure:
    """Times the baseline's speed, longer is faster; the labels are what was timed."""
    found = list(reversed(paces(measurements)))
    simulated = any(pace.compressed.kernel == "simulated" for pace in found)
    rows = [_row(pace, words) for pace in found]
    ratios = [pace.ratio for pace in found]
    figure = go.Figure()
    figure.add_bar(
        **bars(rows, ratios, words("variant.compressed"), COMPRESSED, hatched=simulated),
        text=[_timed(pace, pace.compressed, words) for pace in found],
        error_x=error_bars([pace.ratio * pace.relative_error(pace.compressed) for pace in found]),
    )
    figure.add_bar(
        **bars(rows, [1.0] * len(found), words("variant.baseline"), BASELINE),
        text=[_timed(pace, pace.baseline, words) for pace in found],
        error_x=error_bars([pace.relative_error(pace.baseline) for pace in found]),
    )
    longest = max([1.0, *(ratio for ratio in ratios if math.isfinite(ratio))])
    figure.update_xaxes(ticksuffix="×", range=[0, 1.35 * longest], dtick=whole_steps(longest))
    key = key_line(words, ("■", "▨" if simulated else "■"), simulated)
    return styled(figure, f"{words('chart.speed.x')}<br>{key}", bars=True)


def _row(pace: Pace, words: Words) -> str:
    return f"{words(f'chart.speed.{pace.name}')}<br>{_shown_in(pace, words)[1]}"


def _timed(pace: Pace, measurement: Measurement, words: Words) -> str:
    return spaced(formats.number(_shown_in(pace, words)[0] * measurement.value))


def _shown_in(pace: Pace, words: Words) -> tuple[float, str]:
    """Factor and unit; both bars of a row are shown in the same."""
    if pace.compressed.unit == "s" and max(pace.baseline.value, pace.compressed.value) < 1:
        return 1000.0, formats.unit("ms", words.language)
    return 1.0, formats.unit(pace.compressed.unit, words.language)


def describe_speed(measurements: Sequence[Measurement], words: Words) -> str:
    ratios = {pace.name: formats.times(pace.ratio) for pace in paces(measurements)}
    return words("chart.speed.describe", **{name: ratios.get(name, formats.UNKNOWN) for name in SPEED_METRICS})


def accuracy_by_kind_chart(measurements: Sequence[Measurement], words: Words) -> go.Figure:
    """One row a kind of question: where the baseline was, where the compressed model is."""
    found = sorted(kinds(measurements), key=lambda row: row[1] - row[2])
    rows = [(words.question_kind(kind), before, after) for kind, before, after in found]
    figure = go.Figure()
    for kind, before, after in rows:
        figure.add_scatter(
            x=[100 * before, 100 * after],
            y=[kind] * 2,
            mode="lines",
            line={"color": COMPRESSED, "width": 3},
            opacity=0.35,
            hoverinfo="skip",
        )
    for column, variant, color, symbol in (
        (1, "baseline", BASELINE, "line-ns"),
        (2, "compressed", COMPRESSED, "circle"),
    ):
        figure.add_scatter(
            x=[100 * row[column] for row in rows],
            y=[row[0] for row in rows],
            mode="markers",
            name=words(f"variant.{variant}"),
            marker={"color": color, "size": 11, "symbol": symbol, "line": {"width": 3 - column, "color": color}},
            customdata=[plain(row[0]) for row in rows],
            hovertemplate="%{customdata}: %{x:.1f} %",
            cliponaxis=False,
        )
    lowest = min((min(before, after) for _, before, after in rows), default=0.0)
    figure.update_xaxes(
        ticksuffix=" %", range=[max(0, 10 * math.floor(10 * lowest - 0.5)) - 1, 101], nticks=3, showticksuffix="last"
    )
    figure.update_yaxes(type="category", tickvals=[row[0] for row in rows], ticktext=[_short(row[0]) for row in rows])
    return styled(figure, f"{words('chart.kinds.x')}<br>{key_line(words, ('┃', '●'))}")


def _short(name: str, longest: int = 16) -> str:
    return plain(name if len(name) <= longest else f"{name[: longest - 1]}…")


def kinds(measurements: Sequence[Measurement]) -> list[tuple[str, float, float]]:
    """(kind, baseline, compressed) of the kinds of question that both were asked, as fractions."""
    before, after = (find(measurements, "accuracy", variant) for variant in ("baseline", "compressed"))
    if not before or not after or not before.by_kind or not after.by_kind:
        return []
    return [(kind, before.by_kind[kind], value) for kind, value in after.by_kind.items() if kind in before.by_kind]


def describe_kinds(measurements: Sequence[Measurement], words: Words) -> str:
    rows = kinds(measurements)
    if not rows:
        return ""
    worst = max(rows, key=lambda row: row[1] - row[2])
    return words(
        "chart.kinds.describe",
        kind=words.question_kind(worst[0]),
        before=formats.share(worst[1]),
        after=formats.share(worst[2]),
    )


def size_chart(sizes: Estimate | Sequence[Measurement], words: Words) -> go.Figure:
    """Bytes on disk: an outline where they are estimated, solid where they were written."""
    before, after = disk_bytes(sizes)
    estimated = isinstance(sizes, Estimate)
    figure = go.Figure()
    for variant, size, color in (("compressed", after, COMPRESSED), ("baseline", before, BASELINE)):
        label = words(f"variant.{variant}")
        outline = estimated and variant == "compressed"
        figure.add_bar(
            **bars([label], [size / 1e6], label, color, outline=outline), text=[spaced(formats.file_size(size))]
        )
    figure.update_xaxes(ticksuffix=" MB", range=[0, 1.3 * max(before, after) / 1e6])
    return styled(figure, words("chart.size.x"), bars=True)


def disk_bytes(sizes: Estimate | Sequence[Measurement]) -> tuple[float, float]:
    """Baseline and compressed; zeros where neither is known."""
    if isinstance(sizes, Estimate):
        return sizes.baseline_bytes, sizes.compressed_bytes
    before, after = (find(sizes, "size_on_disk_bytes", variant) for variant in ("baseline", "compressed"))
    return (before.value if before else 0.0), (after.value if after else 0.0)


def describe_size(sizes: Estimate | Sequence[Measurement], words: Words) -> str:
    before, after = disk_bytes(sizes)
    return words("chart.size.describe", before=formats.file_size(before), after=formats.file_size(after))


def history_scatter(
    rows: Sequence[RunRow], words: Words, label: Callable[[RunRow], str] = lambda row: row.run_id
) -> go.Figure:
    """Size against quality, one point a run, one colour and symbol a model; `customdata` holds the run's id."""
    figure = go.Figure()
    for place, model in enumerate(dict.fromkeys(row.model for row in rows)):
        drawn = [row for row in rows if row.model == model and row.perplexity_change is not None]
        figure.add_scatter(**_runs(drawn, place, label), name=plain(model_text(model)))
    figure.add_hline(y=1, line={"color": BASELINE, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text=words("chart.history.x"), ticksuffix=" %", rangemode="tozero")
    figure.update_yaxes(title_text=words("chart.history.y"), ticksuffix="×", type="log", nticks=6)
    return styled(figure)


def _runs(rows: Sequence[RunRow], place: int, label: Callable[[RunRow], str]) -> dict[str, Any]:
    color = (COMPRESSED, *FURTHER)[place % (1 + len(FURTHER))]
    return {
        "x": [math.nan if row.size_share is None else 100 * row.size_share for row in rows],
        "y": [1 + (row.perplexity_change or 0.0) / 100 for row in rows],
        "error_y": {**error_bars([(row.perplexity_change_error or 0.0) / 100 for row in rows]), "width": 0},
        "customdata": [row.run_id for row in rows],
        "text": [plain(label(row)) for row in rows],
        "mode": "markers",
        "marker": {"color": color, "size": 10, "symbol": SYMBOLS[place % len(SYMBOLS)], "opacity": 0.85},
        "hovertemplate": "%{text}<br>%{x:.1f} %, %{y:.3f}×<extra></extra>",
    }


def describe_history(count: int, words: Words) -> str:
    return words("chart.history.describe", count=count)
