"""How sensitive each part of the model is, as a map; a click on it offers that part a setting of its own."""

from __future__ import annotations

import streamlit as st
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.layerwise import LayerMethod
from compresslab.recipes.method import METHODS, Kind
from compresslab_dashboard.components.stream_chart import figure_chart
from compresslab_dashboard.editing.fit import measure_first
from compresslab_dashboard.layers import charts, exceptions
from compresslab_dashboard.layers.editor import give
from compresslab_dashboard.layers.looking import ROWS, Looking
from compresslab_dashboard.layers.readings import sensitivity
from compresslab_dashboard.layers.shown import Shown
from compresslab_dashboard.recipe.sketch import USUAL
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped
from compresslab_dashboard.widgets.one_of import one_of

HEIGHT = 252  # pixels
KINDS: tuple[Kind, ...] = ("quantize", "prune")


def sensitivity_card(shown: Shown, words: Words) -> None:
    table = state.workspace().sensitivity.find(shown.recipe)
    if table is None:
        st.caption(words("layers.sensitivity.help"))
        measure_first(words)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sensitivity_head"):
        step = _step(shown, words)
        _rows(words)
    _drawn(table, shown, step, words)


def _drawn(table: SensitivityTable, shown: Shown, step: LayerMethod, words: Words) -> None:
    found = sensitivity(table, shown.plan, step, state.own(Looking).rows)
    known = any(value is not None for row in found.damage for value in row)
    told = charts.describe_sensitivity(found, words)
    st.markdown(escaped(told))
    figure_chart(
        "sensitivity_chart",
        charts.sensitivity_map(found, _picked(shown), words) if known else None,
        description=told,
        empty=words("layers.sensitivity.unlike"),
        height=HEIGHT,
        on_pick=_try,
    )
    st.caption(words("layers.sensitivity.axis", method=words.short_title(step.name)))
    if known:
        _offer(shown, step, words)


def _picked(shown: Shown) -> str:
    trial = state.own(Looking).trial
    return "" if trial is None else charts.cell_name(shown.matrix, trial)


def _try(name: str) -> None:
    """The part and the setting of a cell: the editor speaks of that part, and one click gives it the setting."""
    looking = state.own(Looking)
    looking.matrix, _, value = name.rpartition("@")
    looking.trial = float(value)
    looking.scope = looking.rows
    st.session_state["exception_scope"] = looking.scope


def _forget_trial() -> None:
    state.own(Looking).trial = None


def _offer(shown: Shown, step: LayerMethod, words: Words) -> None:
    """What a click on the map leads to."""
    looking = state.own(Looking)
    block = next((block for block in state.current().editing.sketch.blocks if block.on and block.step == step), None)
    if looking.trial is None or block is None or not shown.editable:
        st.caption(words("layers.sensitivity.click"))
        return
    value = int(looking.trial) if step.kind == "quantize" else looking.trial
    pattern = exceptions.pattern_of(shown.matrix, looking.rows)
    st.button(
        words("layers.give", pattern=pattern, value=charts.setting_text(step.kind, value, words)),
        key="give",
        disabled=exceptions.chosen(step, pattern) == value,
        on_click=give,
        args=(block.place, pattern, value),
    )


def _step(shown: Shown, words: Words) -> LayerMethod:
    """Of the kind that was chosen: the recipe's own, else the usual one."""
    looking = state.own(Looking)
    mine = {step.kind: step for step in reversed(shown.steps)}
    chosen = looking.kind or (shown.steps[0].kind if shown.steps else KINDS[0])
    kind = one_of(
        words("step.kind"),
        KINDS,
        chosen,
        lambda kind: words(f"kind.{kind}"),
        key="sensitivity_kind",
        on_change=_forget_trial,
        label_visibility="collapsed",
    )
    looking.kind = kind
    step = mine.get(kind) or METHODS[USUAL[kind]]()
    assert isinstance(step, LayerMethod)
    return step


def _rows(words: Words) -> None:
    looking = state.own(Looking)
    looking.rows = one_of(
        words("layers.rows"),
        ROWS,
        looking.rows,
        lambda rows: words(f"layers.rows.{rows}"),
        key="sensitivity_rows",
        on_change=_forget_trial,
        label_visibility="collapsed",
    )
