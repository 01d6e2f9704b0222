"""The look that all charts share: colours, bars, error bars, the line that says which is which.

Text and grid get their colours from style.css, so that one figure serves the light and the dark theme.
"""

from __future__ import annotations

import html
from typing import Any

import plotly.graph_objects as go
from compresslab_dashboard.texts import Words

# Each has a contrast of at least 3:1 on the light and on the dark background, so that figures need not know the theme.
BASELINE = "#85888D"
COMPRESSED = "#D9601C"
FURTHER = ("#3F7FD0", "#8C66CC", "#0F948C", "#C4508F", "#A08016")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def plain(text: str) -> str:
    """Plotly reads some HTML in its texts; names of models and users are shown as they are."""
    return html.escape(text, quote=False)


def tint(color: str, share: float) -> str:
    """That much of a colour of above."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def bars(
    labels: list[str], values: list[float], name: str, color: str, *, hatched: bool = False, outline: bool = False
) -> dict[str, Any]:
    pattern = {"shape": "/", "fgcolor": color, "bgcolor": "rgba(0,0,0,0)", "size": 6, "solidity": 0.35}
    marker: dict[str, Any] = {"color": "rgba(0,0,0,0)" if outline else color, "line": {"color": color, "width": 1.5}}
    return {
        "x": values,
        "y": labels,
        "name": name,
        "orientation": "h",
        "marker": marker | ({"pattern": pattern} if hatched else {}),
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{text}",
    }


def error_bars(values: list[float]) -> dict[str, Any]:
    return {"type": "data", "array": values, "color": BASELINE, "thickness": 1.2, "width": 3}


def spaced(text: str) -> str:
    """Room for the end of the error bar before the label."""
    return f"\u2002{text}"


def whole_steps(longest: float) -> float | None:
    """Whole ticks for bars of a few times the baseline; plotly's own beyond."""
    return 1.0 if 1.5 < longest <= 5 else None


def key_line(words: Words, signs: tuple[str, str], simulated: bool = False) -> str:
    """The legend as a line below the axis: it takes no room from a small chart."""
    parts = [
        f'<span style="color:{color}">{sign}</span> {words(f"variant.{variant}")}'
        for variant, color, sign in zip(("baseline", "compressed"), (BASELINE, COMPRESSED), signs, strict=True)
    ]
    return "\u2002".join(parts) + (f" ({words('kernel.simulated')})" if simulated else "")


def styled(figure: go.Figure, below: str = "", *, bars: bool = False) -> go.Figure:
    """`below` stands left under the chart: what the axis shows, and which is which, in less room than a legend."""
    figure.update_layout(
        template="none",  # colours of text and grid are style.css's, so that one figure serves both themes
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 4, "r": 24, "t": 4, "b": 8 + 16 * (1 + below.count("<br>")) + 14 if below else 4},
        barmode="group",
        bargap=0.3,
        bargroupgap=0.06,
        font={"size": 12, "family": "system-ui, sans-serif"},
        showlegend=not below,
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"size": 12}},
        title={
            "text": below,
            "x": 0,
            "y": 0,
            "xref": "container",
            "yref": "container",
            "yanchor": "bottom",
            "pad": {"b": 5 + 16 * below.count("<br>"), "l": 2},  # the text grows downwards from its first line
        },
        title_font_size=11,
        hoverlabel={"namelength": -1},
        dragmode=False if bars else "zoom",
    )
    figure.update_xaxes(zeroline=False, title_standoff=6, title_font_size=12, tickangle=0, automargin=not below)
    figure.update_yaxes(automargin=True, showgrid=not bars, zeroline=False, title_font_size=12)
    return figure
