"""Settings schema -> widgets -> Settings. Nothing here knows a method by name.

A value lives in the recipe; a widget is a view of it. `fill` writes a recipe into the widgets' keys before they are
drawn (undo, open, URL), `form` draws them and returns what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import streamlit as st
from compresslab.errors import BadInput
from compresslab.files import plain_yaml
from compresslab.recipes.typed import text_of, value_of
from compresslab.settings import Control, Settings
from compresslab_dashboard.texts import ControlWords, Words, escaped
from compresslab_dashboard.widgets.section import section

S = TypeVar("S", bound=Settings)

MANY_PLACES = 200  # a slider with more stops than this can't be set with a finger
WIDE_RANGE = 100  # largest over smallest: from here on a logarithmic scale


def widget_key(place: str, control: Control) -> str:
    return f"{place}.{control.name}"


def fill(place: str, settings: Settings) -> None:
    """Make the widgets say what `settings` say. Only before they are drawn, or in a callback."""
    for control in settings.controls():
        st.session_state[widget_key(place, control)] = shown(control, getattr(settings, control.name))


def forget(place: str, controls: Iterable[Control]) -> None:
    """Drawn again, their widgets say what the settings say then."""
    for control in controls:
        st.session_state.pop(widget_key(place, control), None)


def shown(control: Control, value: Any) -> Any:
    """A value as its widget holds it: patterns and exceptions are typed as text."""
    if control.kind == "list":
        plain = ", ".join(value)
        return plain if value_of(control, plain) == list(value) else text_of(value)
    if control.kind == "mapping":
        return plain_yaml.dump(value, default_flow_style=None).strip() if value else ""
    return value


def form(place: str, owner: str, settings: S, words: Words, limits: Mapping[str, float] | None = None) -> S:
    """Widgets for every setting, the advanced ones folded away; returns the settings that they show.

    `limits` lowers a maximum by unit: a model of 8 layers offers no more than 8 "layers".
    """
    values = settings.model_dump()
    controls = [_limited(control, limits or {}) for control in settings.controls()]
    for control in controls:
        if not control.advanced:
            values[control.name] = _widget(place, owner, control, values[control.name], words)
    advanced = [control for control in controls if control.advanced]
    if advanced:
        with section(words("form.advanced"), key=f"{place}.advanced") as is_open:
            if is_open:
                for control in advanced:
                    values[control.name] = _widget(place, owner, control, values[control.name], words)
            else:
                forget(place, advanced)
    try:
        return type(settings).parse(values, owner)
    except BadInput as error:  # what is being typed is not whole yet: the settings stay as they were
        st.error(escaped(words.said(error.message)))
        return settings


def _limited(control: Control, limits: Mapping[str, float]) -> Control:
    limit = limits.get(control.unit)
    if limit is None or control.maximum is None or limit >= control.maximum:
        return control
    return replace(control, maximum=limit)


def _widget(place: str, owner: str, control: Control, value: Any, words: Words) -> Any:
    key = widget_key(place, control)
    _hold(key, control, value)
    told = words.control(owner, control)
    common: dict[str, Any] = {"label": told.label, "key": key, "help": told.help, "persist_state": "session"}
    if control.kind == "flag":
        return st.toggle(**common)
    if control.kind == "choice":
        return _choice(control, common, told.choice)
    if control.kind == "mapping":
        return value_of(control, st.text_area(height=96, **common))
    if control.kind in ("text", "list"):
        return value_of(control, st.text_input(**common).strip()) or control.default
    return _number(control, common, told)


def _hold(key: str, control: Control, value: Any) -> None:
    """Assign the widget's value where it has none that it can show, and only there: what is assigned is sent to the
    browser, where it would take back what the hand has done in the meantime. Between visits `persist_state` keeps it.
    """
    held = st.session_state.get(key, shown(control, value))
    fitting = _within(control, held)
    mark = f"{key}.drawn"  # with another range it is another widget
    known = key in st.session_state and st.session_state.get(mark) == control
    if not known or (type(fitting), fitting) != (type(held), held):  # a slider of shares refuses 1
        st.session_state[key], st.session_state[mark] = fitting, control


def _number(control: Control, common: dict[str, Any], told: ControlWords) -> Any:
    stops = scale(control, st.session_state[common["key"]])
    if not stops and told.names_lowest and places(control) <= MANY_PLACES:
        stops = list(range(int(control.minimum or 0), int(control.maximum or 0) + 1))
    if stops:
        return st.select_slider(options=stops, format_func=told.choice, **common)
    ends: dict[str, Any] = {"min_value": control.minimum, "max_value": control.maximum, "step": control.step}
    number = int if control.kind == "integer" else float
    ends = {name: None if end is None else number(end) for name, end in ends.items()}
    if places(control) > MANY_PLACES:
        return st.number_input(**ends, **common)
    return st.slider(format=slider_format(control, told.unit), **ends, **common)


def _choice(control: Control, common: dict[str, Any], told: Callable[[Any], str]) -> Any:
    if len(control.choices) <= 3:
        return st.segmented_control(options=control.choices, format_func=told, required=True, width="stretch", **common)
    return st.selectbox(options=control.choices, format_func=told, **common)


def _within(control: Control, value: Any) -> Any:
    """A value that the widget can show: whole or not as declared, and not beyond a lowered maximum."""
    if control.kind not in ("integer", "number"):
        return value
    if control.maximum is not None and value > control.maximum:
        value = control.maximum
    return int(value) if control.kind == "integer" else float(value)


def places(control: Control) -> float:
    """How many stops a slider would have; infinite where range or step is open."""
    if control.minimum is None or control.maximum is None or not control.step:
        return float("inf")
    return (control.maximum - control.minimum) / control.step


def scale(control: Control, value: Any) -> list[Any]:
    """The stops of a slider that does not go in equal steps; empty where it does, or where typing is better.

    The value itself is always among them: a recipe from a file may say anything within the range.
    """
    if control.kind not in ("integer", "number"):
        return []
    if control.offered:
        return sorted({*control.offered, value})
    smallest = max(control.minimum or 0, control.step or 0)
    logarithmic = smallest > 0 and (control.maximum or 0) / smallest >= WIDE_RANGE
    if not logarithmic or places(control) <= MANY_PLACES or (control.advanced and control.kind == "integer"):
        return []
    number = int if control.kind == "integer" else float
    stops = {number(s) for s in _one_two_five(smallest, control.maximum or 0)}
    return sorted({number(control.minimum or 0), *stops, value})


def _one_two_five(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 … times a power of ten, from low to high."""
    exponents = range(-12, 13)
    stops = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    return [stop for stop in stops if low <= stop <= high]


def slider_format(control: Control, unit: str) -> str | None:
    """Shares are read in percent, other numbers with their unit."""
    if control.kind == "number" and control.maximum is not None and control.maximum <= 1:
        return "percent"
    number = "%d" if control.kind == "integer" else "%.2g"
    return f"{number} {unit}".strip()
