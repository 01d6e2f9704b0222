"""What stands in layers.readings, and a close look -> plotly figures, each with a text. No Streamlit.

Deeper orange is more loss, or fewer bits. The `customdata` of a cell is the matrix that a click looks at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from compresslab.profiles.layer_profile import LayerProfile, MatrixProfile
from compresslab_dashboard.charts.style import BASELINE, COMPRESSED, key_line, plain, styled
from compresslab_dashboard.layers.readings import Cell, LayerBytes, Sensitivity, harshest, most_and_least
from compresslab_dashboard.texts import Words, formats

LEAST, MOST = "rgba(217,96,28,0.04)", "rgba(217,96,28,0.72)"
COLORS = [[0.0, LEAST], [1.0, MOST]]
WHOLE_BITS, FEWEST_BITS = 16.0, 2.0  # ends of the scale of colours
MOST_NUMBERS = 16  # columns; with more the cells are too narrow for a number


# -- bits and sparsity -----------------------------------------------------------------------------------------


def bits_map(cells: Sequence[Cell], picked: str, words: Words) -> go.Figure:
    """Parts down, layers across; the number is the bits of the grid, and the share of zeros below it."""
    layers, parts = _places(cells)
    by_place = {(cell.part, cell.layer): cell for cell in cells}
    rows = [[by_place.get((part, layer)) for layer in layers] for part in parts]
    depth = [[None if cell is None else _bits_depth(cell.bits) for cell in row] for row in rows]
    text = [["" if cell is None else _cell_text(cell) for cell in row] for row in rows]
    hover = [["" if cell is None else _cell_hover(cell, words) for cell in row] for row in rows]
    names = [["" if cell is None else cell.name for cell in row] for row in rows]
    figure = _map([str(layer) for layer in layers], parts, depth, text, hover, names)
    figure.update_xaxes(title_text=words("layers.layer"))
    _mark(figure, names, picked)
    return figure


def _places(cells: Sequence[Cell]) -> tuple[list[int], list[str]]:
    return sorted({cell.layer for cell in cells}), list(dict.fromkeys(cell.part for cell in cells))


def _bits_depth(bits: float) -> float:
    """The same bits have the same colour in every recipe; 8 to 4 is as far as 4 to 2."""
    return min(1.0, max(0.0, math.log2(WHOLE_BITS / max(bits, FEWEST_BITS)) / math.log2(WHOLE_BITS / FEWEST_BITS)))


def _cell_text(cell: Cell) -> str:
    bits = str(cell.grid_bits) if cell.grid_bits is not None else f"{cell.bits:.0f}" if cell.sparsity == 0 else ""
    return "<br>".join(filter(None, [bits, f"{cell.sparsity:.0%}" if cell.sparsity else ""]))


def _cell_hover(cell: Cell, words: Words) -> str:
    shown = {"bits": formats.number(cell.bits), "zeros": formats.share(cell.sparsity)}
    return f"{plain(cell.name)}<br>{words('layers.map.hover', **shown)}"


def describe_bits(cells: Sequence[Cell], words: Words) -> str:
    low, high = (f((cell.bits for cell in cells), default=0.0) for f in (min, max))
    zeros = [f((cell.sparsity for cell in cells), default=0.0) for f in (min, max)]
    return words(
        "layers.map.describe",
        count=len(cells),
        low=formats.number(low),
        high=formats.number(high),
        few=formats.share(zeros[0]),
        many=formats.share(zeros[1]),
    )


# -- sensitivity -----------------------------------------------------------------------------------------------


def sensitivity_map(found: Sensitivity, picked: str, words: Words) -> go.Figure:
    """Layers or parts down, settings across; the colour goes by the logarithm of what is lost. `picked` is a cell."""
    logs = [[math.log(value) if value else None for value in row] for row in found.damage]
    known = [value for row in logs for value in row if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    depth = [[None if value is None else (value - low) / ((high - low) or 1) for value in row] for row in logs]
    text = [["" if value is None else formats.number(value, 2) for value in row] for row in found.damage]
    columns = [setting_text(found.kind, value, words) for value in found.settings]
    hover = [_sensitivity_hovers(found, row, words) for row in range(len(found.rows))]
    names = [[cell_name(*cell) for cell in zip(row, found.settings, strict=True)] for row in found.worst]
    figure = _map(columns, list(found.rows), depth, text, hover, names)
    _mark(figure, names, picked)
    if found.by == "layer":
        figure.update_yaxes(title_text=words("layers.layer"), title_standoff=10)
    return figure


def _sensitivity_hovers(found: Sensitivity, row: int, words: Words) -> list[str]:
    name = plain(row_text(found, found.rows[row], words))
    told = [formats.UNKNOWN if value is None else formats.number(value, 2) for value in found.damage[row]]
    settings = [setting_text(found.kind, value, words) for value in found.settings]
    pairs = zip(settings, told, strict=True)
    return [words("layers.sensitivity.hover", row=name, setting=setting, lost=lost) for setting, lost in pairs]


def cell_name(matrix: str, value: float) -> str:
    """What a click on the sensitivity map tells: the matrix that loses most there, and the setting."""
    return f"{matrix}@{value:g}"


def setting_text(kind: str, value: float, words: Words) -> str:
    return words("layers.bits", bits=int(value)) if kind == "quantize" else f"{value:.0%}"


def row_text(found: Sensitivity, row: str, words: Words) -> str:
    return words("layers.layer.n", layer=row) if found.by == "layer" else row


def describe_sensitivity(found: Sensitivity, words: Words) -> str:
    ends = most_and_least(found)
    if not ends:
        return words("layers.sensitivity.unlike")
    (most, most_lost), (least, least_lost) = ends
    return words(
        "layers.sensitivity.describe",
        setting=setting_text(found.kind, found.settings[harshest(found)], words),
        most=row_text(found, most, words),
        least=row_text(found, least, words),
        most_lost=formats.number(most_lost, 2),
        least_lost=formats.number(least_lost, 2),
    )


# -- a close look ----------------------------------------------------------------------------------------------


def histogram(matrix: MatrixProfile, words: Words) -> go.Figure:
    """Shares of the weights by their size; zeros of the compressed are told in words, or they would dwarf the rest."""
    count = len(matrix.after)
    width = 2 * matrix.reach / count
    places = [width * (bin_ + 0.5) - matrix.reach for bin_ in range(count)]
    total = max(1, matrix.zeros + sum(matrix.after))
    figure = go.Figure()
    figure.add_bar(
        x=places,
        y=[100 * n / total for n in matrix.after],
        width=width * 0.9,
        marker={"color": COMPRESSED, "opacity": 0.75},
        name=words("variant.compressed"),
        hovertemplate="%{x:.3f}: %{y:.2f} %",
    )
    if matrix.before:
        figure.add_scatter(
            x=places,
            y=[100 * n / max(1, sum(matrix.before)) for n in matrix.before],
            mode="lines",
            line={"color": BASELINE, "width": 2, "shape": "hvh"},
            name=words("variant.baseline"),
            hovertemplate="%{x:.3f}: %{y:.2f} %",
        )
    return styled(figure, f"{words('layers.histogram.axis')}<br>{key_line(words, ('━', '■'))}", bars=True)


def describe_histogram(matrix: MatrixProfile, words: Words) -> str:
    error = formats.UNKNOWN if matrix.error is None else formats.share(matrix.error)
    bits = words("layers.bits", bits=matrix.bits) if matrix.bits else words("layers.not_rounded")
    return words("layers.histogram.describe", name=matrix.name, bits=bits, zeros=_zeros(matrix), error=error)


def _zeros(matrix: MatrixProfile) -> str:
    return formats.share(matrix.sparsity)


def heads_map(profile: LayerProfile, words: Words) -> go.Figure:
    """Heads across, layers down: each head's share of its layer's energy."""
    rows = [[value / (sum(row) or 1) for value in row] for row in profile.heads]
    most = max((value for row in rows for value in row), default=1.0) or 1.0
    depth = [[value / most for value in row] for row in rows]
    text = [[f"{100 * value:.0f}" for value in row] for row in rows]
    hover = [
        [
            words("layers.heads.hover", layer=layer, head=head, share=formats.share(value))
            for head, value in enumerate(r)
        ]
        for layer, r in enumerate(rows)
    ]
    columns = [str(head) for head in range(max((len(row) for row in rows), default=0))]
    figure = _map(columns, [str(layer) for layer in range(len(rows))], depth, text, hover, None)
    figure.update_xaxes(title_text=words("layers.head"))
    figure.update_yaxes(title_text=words("layers.layer"), title_standoff=10)
    return figure


def describe_heads(profile: LayerProfile, words: Words) -> str:
    shares = {
        (layer, head): value / (sum(row) or 1)
        for layer, row in enumerate(profile.heads)
        for head, value in enumerate(row)
    }
    least, most = (f(shares, key=lambda place: shares[place]) for f in (min, max))
    return words(
        "layers.heads.describe",
        most_layer=most[0],
        most_head=most[1],
        most=formats.share(shares[most]),
        least_layer=least[0],
        least_head=least[1],
        least=formats.share(shares[least]),
    )


# -- where the bytes are ---------------------------------------------------------------------------------------


def bytes_chart(layers: Sequence[LayerBytes], words: Words) -> go.Figure:
    """The allocation: bytes of every layer, and of what is outside of them, baseline and compressed."""
    names = [words("layers.outside") if entry.layer is None else str(entry.layer) for entry in layers]
    figure = go.Figure()
    for values, color in (([e.before for e in layers], BASELINE), ([e.after for e in layers], COMPRESSED)):
        told = [formats.file_size(value) for value in values]
        figure.add_bar(
            x=names, y=values, marker={"color": color}, text=told, hovertemplate="%{x}: %{text}<extra></extra>"
        )
    figure.update_traces(textposition="none")
    styled(figure, f"{words('layers.bytes.axis')}<br>{key_line(words, ('■', '■'))}", bars=True)
    figure.update_xaxes(type="category", fixedrange=True)
    figure.update_yaxes(tickformat="~s", ticksuffix="B", nticks=4, showgrid=True, fixedrange=True)
    return figure


def describe_bytes(layers: Sequence[LayerBytes], words: Words) -> str:
    most = max(layers, key=lambda entry: entry.after)
    before, after = sum(entry.before for entry in layers), sum(entry.after for entry in layers)
    name = words("layers.outside") if most.layer is None else words("layers.layer.n", layer=most.layer)
    return words(
        "layers.bytes.describe",
        before=formats.file_size(before),
        after=formats.file_size(after),
        name=name,
        most=formats.file_size(most.after),
    )


# -- the look of a map -----------------------------------------------------------------------------------------


def _map(
    columns: list[str],
    rows: list[str],
    depth: Sequence[Sequence[float | None]],
    text: Sequence[Sequence[str]],
    hover: Sequence[Sequence[str]],
    names: Sequence[Sequence[str]] | None,
) -> go.Figure:
    cells: dict[str, Any] = {} if names is None else {"customdata": names}
    if len(columns) <= MOST_NUMBERS:
        cells |= {"text": text, "texttemplate": "%{text}", "textfont": {"size": 11}}
    figure = go.Figure(
        go.Heatmap(
            x=[plain(column) for column in columns],
            y=[plain(row) for row in rows],
            z=depth,
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            colorscale=COLORS,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
            **cells,
        )
    )
    styled(figure)
    figure.update_xaxes(type="category", showgrid=False, fixedrange=True, ticks="")
    figure.update_yaxes(type="category", showgrid=False, fixedrange=True, ticks="", autorange="reversed")
    figure.update_layout(showlegend=False, dragmode=False)
    return figure


def _mark(figure: go.Figure, names: Sequence[Sequence[str]], picked: str) -> None:
    for y, row in enumerate(names):
        if picked and picked in row:
            x = row.index(picked)
            place = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
            figure.add_shape(type="rect", line={"color": COMPRESSED, "width": 3}, **place)
