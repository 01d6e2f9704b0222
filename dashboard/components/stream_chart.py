"""Charts that grow or change while a job runs: never drawn anew, so nothing flickers and hover and zoom stay.

Of a stream only the points travel that the browser lacks, with some overlap; it drops doubles by their index, and asks
for the whole where it misses some (a tab that slept, a page opened again).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from compresslab_dashboard.charts.figures import StreamChart
from compresslab_dashboard.components import static
from compresslab_dashboard.components.window import first_to_send

_component = st.components.v2.component(
    "compresslab.stream_chart",
    js=static.loader("stream_chart"),
    isolate_styles=False,  # plotly puts its styles into the page's head, where a shadow root would not see them
)


def stream_chart(key: str, chart: StreamChart, height: int = 260) -> None:
    """Draw `chart`; its place keeps `height` pixels from the start. Cheap enough to call ten times a second."""
    starts = first_to_send(key, chart.stream, [len(line.x) for line in chart.lines])
    _mount(key, height, chart.description, chart.empty, chart=asdict(chart.since(starts)))


def figure_chart(
    key: str,
    figure: go.Figure | None,
    *,
    description: str,
    empty: str,
    height: int = 260,
    on_pick: Callable[[str], None] = lambda name: None,
) -> None:
    """Draw a figure of `charts` that may change while a job runs; None shows `empty` in the same place.

    `on_pick` is told the `customdata` of the point that was clicked.
    """
    content = None if figure is None else json.loads(figure.to_json())
    _mount(key, height, description if figure is not None else empty, empty, on_pick, figure=content)


def _mount(
    key: str,
    height: int,
    description: str,
    empty: str,
    on_pick: Callable[[str], None] = lambda name: None,
    **content: Any,
) -> None:
    def picked() -> None:
        name = st.session_state[key].get("picked")
        if name:
            on_pick(name)

    about = {"height": height, "description": description, "empty": empty, "plotly": static.plotly_url()}
    _component(key=key, data=about | content, height=height, on_whole_change=lambda: None, on_picked_change=picked)
