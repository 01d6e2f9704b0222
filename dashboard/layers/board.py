"""The maps of a recipe: bits and zeros of every matrix, what each layer can bear, and where the bytes are."""

from __future__ import annotations

import streamlit as st

from core.methods import Kind
from core.methods.layerwise import LayerMethod
from core.registry import METHODS
from core.sensitivity_table import SensitivityTable
from dashboard import state
from dashboard.components.stream_chart import figure_chart
from dashboard.layers import charts
from dashboard.layers.looking import ROWS
from dashboard.layers.readings import layer_bytes, sensitivity
from dashboard.layers.shown import Shown
from dashboard.sketch import USUAL
from dashboard.studio.fit import measure_first
from dashboard.texts import Words

MAP_HEIGHT, BYTES_HEIGHT = 330, 200  # pixels
MAP_CARD, BYTES_CARD = MAP_HEIGHT + 130, BYTES_HEIGHT + 50
KINDS: tuple[Kind, ...] = ("quantize", "prune")


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
        _sensitivity(shown, words)


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
    state.current().looking.matrix = matrix


def _sensitivity(shown: Shown, words: Words) -> None:
    table = state.workspace().sensitivity(shown.recipe)
    if table is None:
        st.caption(words("layers.sensitivity.help"))
        measure_first(words)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sensitivity_head"):
        step = _step(shown, words)
        _rows(words)
    _drawn(table, shown, step, words)


def _drawn(table: SensitivityTable, shown: Shown, step: LayerMethod, words: Words) -> None:
    found = sensitivity(table, shown.plan, step, state.current().looking.rows)
    known = any(value is not None for row in found.damage for value in row)
    figure_chart(
        "sensitivity_chart",
        charts.sensitivity_map(found, words) if known else None,
        description=charts.describe_sensitivity(found, words),
        empty=words("layers.sensitivity.unlike"),
        height=MAP_HEIGHT - 16,
        on_pick=_look_at,
    )
    st.caption(words("layers.sensitivity.axis", method=words.short_title(step.name)))


def _step(shown: Shown, words: Words) -> LayerMethod:
    """Of the kind that was chosen: the recipe's own, else the usual one."""
    looking = state.current().looking
    mine = {step.kind: step for step in reversed(shown.steps)}
    chosen = looking.kind or (shown.steps[0].kind if shown.steps else KINDS[0])
    st.session_state.setdefault("sensitivity_kind", chosen)
    asked = st.segmented_control(
        words("step.kind"),
        options=KINDS,
        format_func=lambda kind: words(f"kind.{kind}"),
        key="sensitivity_kind",
        required=True,
        label_visibility="collapsed",
    )
    kind = looking.kind = asked or chosen
    step = mine.get(kind) or METHODS[USUAL[kind]]()
    assert isinstance(step, LayerMethod)
    return step


def _rows(words: Words) -> None:
    looking = state.current().looking
    st.session_state.setdefault("sensitivity_rows", looking.rows)
    rows = st.segmented_control(
        words("layers.rows"),
        options=ROWS,
        format_func=lambda rows: words(f"layers.rows.{rows}"),
        key="sensitivity_rows",
        required=True,
        label_visibility="collapsed",
    )
    looking.rows = rows or looking.rows
