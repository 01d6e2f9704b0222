"""The maps of a recipe: bits and zeros of every matrix, how sensitive each layer is, and where the bytes are."""

from __future__ import annotations

import streamlit as st
from compresslab_dashboard.components.stream_chart import figure_chart
from compresslab_dashboard.layers import charts
from compresslab_dashboard.layers.looking import Looking
from compresslab_dashboard.layers.readings import layer_bytes
from compresslab_dashboard.layers.sensitivity_card import sensitivity_card
from compresslab_dashboard.layers.shown import Shown
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words

MAP_HEIGHT, BYTES_HEIGHT = 400, 200  # pixels
MAP_CARD, BYTES_CARD = MAP_HEIGHT + 130, BYTES_HEIGHT + 50


def maps(shown: Shown, words: Words) -> None:
    bits, sensitive = st.columns(2, gap="small")
    with bits, st.container(border=True, height=MAP_CARD, key="chart_map"):
        st.markdown(f"**{words('layers.map')}**")
        st.caption(words("layers.map.help"))
        figure_chart(
            "map_chart",
            charts.bits_map(shown.cells, shown.matrix, words),
            description=charts.describe_bits(shown.cells, words),
            empty="",
            height=MAP_HEIGHT + 24,
            on_pick=_look_at,
        )
    with sensitive, st.container(border=True, height=MAP_CARD, key="chart_sensitivity"):
        st.markdown(f"**{words('layers.sensitivity')}**")
        sensitivity_card(shown, words)


def bytes_card(shown: Shown, words: Words) -> None:
    layers = layer_bytes(shown.plan)
    with st.container(border=True, height=BYTES_CARD, key="chart_bytes"):
        st.markdown(f"**{words('layers.bytes')}**")
        figure_chart(
            "bytes_chart",
            charts.bytes_chart(layers, words),
            description=charts.describe_bytes(layers, words),
            empty="",
            height=BYTES_HEIGHT,
        )


def _look_at(matrix: str) -> None:
    looking = state.own(Looking)
    looking.matrix, looking.trial = matrix, None
