"""The sidebar: which settings to sweep over, with which values, how thoroughly, and what that comes to."""

from __future__ import annotations

from typing import get_args

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import MOST_AXES, Axis, Sweep, SweepStage
from compresslab_dashboard.explore.axes import Choice, axis_text, choices, first_axes, typed, value_text
from compresslab_dashboard.explore.exploring import Exploring, Plan
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.session import recipe_address, state
from compresslab_dashboard.texts import Words, escaped, formats
from compresslab_dashboard.widgets.one_of import one_of

NONE = ""
MOST_PLANS = 50  # remembered


def form(words: Words) -> Sweep | None:
    """Returns what would be run, where that makes sense."""
    base = state.current().recipe
    with st.sidebar:
        _base(base, words)
        offered = choices(base)
        axes = [axis for number in range(MOST_AXES) if (axis := _axis(number, offered, base, words)) is not None]
        _stage(words)
        return _launch(base, axes, words)


def _base(base: Recipe, words: Words) -> None:
    st.markdown(f"**{words('explore.base')}**", help=words("explore.base.help"))
    with st.container(horizontal=True, vertical_alignment="center", key="sweep_base"):
        st.caption(escaped(f"{base.model}: {steps_text(base.to_dict(), words)}"), width="stretch")
        if st.button(words("explore.base.change"), key="to_studio", type="tertiary"):
            st.switch_page(state.page("studio"), query_params=recipe_address.params())


# -- the settings ----------------------------------------------------------------------------------------------


def _axis(number: int, offered: dict[str, Choice], base: Recipe, words: Words) -> Axis | None:
    """One setting and its values; the second and third may be none."""
    exploring = state.own(Exploring)
    paths = exploring.paths if exploring.paths is not None else first_axes(base)
    chosen = paths[number] if number < len(paths) and paths[number] in offered else NONE
    others = {path for place, path in enumerate(paths) if place != number}
    key = f"axis.{number}"
    st.session_state[key] = chosen
    path = st.selectbox(
        words("explore.setting", number=number + 1),
        options=[NONE, *(path for path in offered if path not in others)],
        format_func=lambda path: axis_text(path, base, words) if path else words("explore.setting.none"),
        key=key,
        on_change=lambda: _take_axis(number, [*paths, *[NONE] * MOST_AXES][:MOST_AXES]),
    )
    return _values(number, offered[path], base, words) if path else None


def _take_axis(number: int, paths: list[str]) -> None:
    paths[number] = st.session_state[f"axis.{number}"]
    state.own(Exploring).paths = paths


def _values(number: int, choice: Choice, base: Recipe, words: Words) -> Axis:
    exploring = state.own(Exploring)
    key = f"values.{choice.path}"
    st.session_state.setdefault(key, list(exploring.values.get(choice.path, choice.usual)))
    given = st.multiselect(
        words("explore.values"),
        options=list(dict.fromkeys([*choice.offered, *st.session_state[key]])),
        format_func=lambda value: value_text(choice.path, value, base, words),
        key=key,
        accept_new_options=_typable(choice),
        placeholder=words("explore.values.none"),
        label_visibility="collapsed",
    )
    values = typed(choice, given)
    exploring.values[choice.path] = values
    return Axis(path=choice.path, values=values)


def _typable(choice: Choice) -> bool:
    return choice.control is not None and choice.control.kind in ("integer", "number")


def _stage(words: Words) -> None:
    exploring = state.own(Exploring)
    stages: tuple[SweepStage, ...] = get_args(SweepStage)
    exploring.stage = one_of(
        words("explore.stage"),
        stages,
        exploring.stage,
        lambda stage: words(f"explore.stage.{stage}"),
        key="sweep_stage",
        width="stretch",
        help=words("explore.stage.help"),
    )


# -- what it comes to ------------------------------------------------------------------------------------------


def _launch(base: Recipe, axes: list[Axis], words: Words) -> Sweep | None:
    with st.container(key="compress_bar"):
        if not axes:
            st.caption(words("explore.choose"))
            return None
        sweep, plan = _checked(base, axes)
        if plan.problem:
            st.error(escaped(words.said(plan.problem)))
        else:
            st.caption(_plan_text(plan, words))
        label = words("explore.launch", count=plan.run) if plan.run else words("explore.launch.none")
        if st.button(label, key="launch", type="primary", width="stretch", disabled=not plan.run) and sweep:
            launch(sweep)
        _aside(plan, words)
    return sweep if plan.run else None


def _checked(base: Recipe, axes: list[Axis]) -> tuple[Sweep | None, Plan]:
    try:
        sweep = Sweep.over(base, axes, state.own(Exploring).stage)
        return sweep, _planned(sweep)
    except BadInput as error:
        return None, Plan(problem=error.message)


def _planned(sweep: Sweep) -> Plan:
    """Remembered: five hundred points take half a second to check."""
    plans = state.own(Exploring).plans
    name = sweep.model_dump_json()
    if name not in plans:
        while len(plans) >= MOST_PLANS:
            plans.pop(next(iter(plans)))
        plans[name] = _plan(sweep)
    return plans[name]


def _plan(sweep: Sweep) -> Plan:
    sweeps = state.workspace().sweeps
    try:
        points = sweeps.plan(sweep)
    except CompresslabError as error:
        return Plan(problem=error.message)
    aside = [f"{', '.join(str(v) for v in point.coordinates)}: {point.aside}" for point in points if point.aside]
    return Plan(len(points) - len(aside), aside, sweeps.seconds_each(sweep))


def _plan_text(plan: Plan, words: Words) -> str:
    points = words("explore.plan", count=plan.run)
    if plan.seconds is None:
        return points + words("explore.plan.unknown")
    return points + words("explore.plan.time", time=formats.duration(plan.seconds * plan.run, words.language))


def _aside(plan: Plan, words: Words) -> None:
    if plan.aside:
        with st.expander(words("explore.plan.aside", count=len(plan.aside)), key="plan_aside"):
            for reason in plan.aside:
                st.caption(escaped(words.said(reason)))


def launch(sweep: Sweep) -> None:
    session = state.current()
    session.problem = ""
    try:
        state.own(Exploring).look_at(str(state.workspace().sweeps.submit(sweep, state.visitor().owner)))
    except CompresslabError as error:
        session.problem = error.message
