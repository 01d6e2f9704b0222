"""The recipe: the model, the steps with their sliders, what it is measured on, and Compress."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from compresslab.data.labelled import check_examples
from compresslab.data.texts import check_file
from compresslab.errors import BadInput, CompresslabError
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts
from compresslab.recipes.metric import Metric
from compresslab.recipes.recipe import DEVICES, RUNTIMES, Recipe
from compresslab.settings import MOST_SEED
from compresslab_dashboard.editing.fit import fit_to_size
from compresslab_dashboard.editing.head import recipe_head
from compresslab_dashboard.editing.room import model_name, room_line
from compresslab_dashboard.jobs import actions
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.session import state
from compresslab_dashboard.studio import presets
from compresslab_dashboard.studio.code import recipe_code
from compresslab_dashboard.studio.kept import kept
from compresslab_dashboard.studio.own_text import own_text
from compresslab_dashboard.studio.steps import stack
from compresslab_dashboard.texts import Words, escaped
from compresslab_dashboard.texts.formats import file_size, parameters
from compresslab_dashboard.widgets.quick_button import quick_button
from compresslab_dashboard.widgets.section import section


def sidebar() -> None:
    words = state.words()
    if "model" not in st.session_state:
        state.fill_widgets()
    with st.sidebar:
        facts = _model(words)
        head = st.container(horizontal=True, vertical_alignment="center", key="recipe_head")
        stack(words, facts)
        presets.said()
        fit_to_size(facts, words)
        _measured_on(words, facts)
        recipe_head(head, words)  # last: only now is it known whether there is something to undo
        recipe_code(state.current().recipe, words)
        kept(words)
        _compress(words)


# -- the model -------------------------------------------------------------------------------------------------


def _model(words: Words) -> ModelFacts | None:
    current = state.current().recipe.model
    names = dict.fromkeys(filter(None, [*state.workspace().models.names(), current, st.session_state["model"]]))
    shown = {name: model_name(name, words) for name in names}  # Streamlit asks for each more than once
    asked = st.selectbox(
        words("model"),
        options=list(names),
        key="model",
        help=words("model.help"),
        format_func=lambda name: shown.get(name) or model_name(name, words),
        placeholder=words("model.placeholder"),
        accept_new_options=True,
    )
    facts, problem = _facts((asked or "").strip(), words)
    if problem:
        st.error(escaped(words.said(problem)))
    else:
        state.change(state.set_base(model=asked.strip()))
    if facts is not None:
        st.caption(
            words(
                "model.facts",
                family=escaped(facts.family),
                parameters=parameters(facts.parameters, words.language),
                layers=facts.layers,
                size=file_size(facts.file_bytes),
            )
        )
        room_line(asked.strip(), words)
    _device(words)
    return facts


def _facts(name: str, words: Words) -> tuple[ModelFacts | None, Message | str | None]:
    """Facts of the model, and what is wrong with the name. A Hub model that is not here yet has neither."""
    if not name:
        return None, words("model.none")
    try:
        return state.workspace().models.facts(name), None
    except BadInput as error:
        return None, None if state.is_remote(name) else error.message
    except CompresslabError as error:
        return None, error.message


def _device(words: Words) -> None:
    device = st.segmented_control(
        words("device"),
        options=DEVICES,
        format_func=lambda name: words(f"device.{name}"),
        key="device",
        help=words("device.help"),
        required=True,
        width="stretch",
    )
    state.change(state.set_base(device=device))
    hardware = state.last_hardware()
    with st.container(key="device_chosen"):  # as high before as after: nothing moves when the first run is over
        if hardware is None:
            st.caption(words("device.to_choose"))
        else:
            reason = escaped(words.said(hardware.device_reason))
            st.caption(words("device.chosen", device=escaped(hardware.device), dtype=hardware.dtype, reason=reason))


# -- what it is measured on ------------------------------------------------------------------------------------


def _measured_on(words: Words, facts: ModelFacts | None) -> None:
    base = state.current().editing.sketch.base
    with section(words("recipe.measured_on"), key="measured_on") as is_open:
        if is_open:
            state.change(state.set_base(**_texts_and_timing(base, facts, words)))
            return
        forms.forget("evaluation", base.evaluation.controls())
        forms.forget("calibration", base.calibration.controls())
        for metric in base.metrics:
            forms.forget(f"metric.{metric.name}", metric.controls())
        for key in ("seed", "runtime"):
            st.session_state.pop(key, None)


def _texts_and_timing(base: Recipe, facts: ModelFacts | None, words: Words) -> dict[str, object]:
    """Fields of the recipe, as the widgets show them."""
    own_text(facts, words)
    st.markdown(f"**{words('recipe.evaluation')}**")
    evaluation = forms.form("evaluation", "evaluation", base.evaluation, words)
    _check(lambda: check_file(evaluation.text))
    if facts is not None:
        _check(lambda: check_examples(evaluation.questions, facts))
    st.markdown(f"**{words('recipe.calibration')}**")
    calibration = forms.form("calibration", "calibration", base.calibration, words)
    _check(lambda: check_file(calibration.text))
    metrics = tuple(_metric(metric, words) for metric in base.metrics)
    st.session_state.setdefault("seed", base.seed)
    seed = st.number_input(
        words("recipe.seed"),
        min_value=0,
        max_value=MOST_SEED,
        step=1,
        key="seed",
        help=words("recipe.seed.help"),
        format="%d",
    )
    st.session_state.setdefault("runtime", base.runtime)
    runtime = st.selectbox(
        words("runtime"),
        options=RUNTIMES,
        format_func=lambda name: words(f"runtime.{name}"),
        key="runtime",
        help=words("runtime.help"),
    )
    texts = {"evaluation": evaluation, "calibration": calibration}
    return {**texts, "metrics": metrics, "seed": int(seed), "runtime": runtime}


def _check(file: Callable[[], None]) -> None:
    """Say what is wrong with a file of one's own where it was named, before anything runs."""
    try:
        file()
    except BadInput as error:
        st.error(escaped(state.words().said(error.message)))


def _metric(metric: Metric, words: Words) -> Metric:
    if not metric.controls():
        return metric
    st.markdown(f"**{escaped(words.title(metric.name))}**")
    return forms.form(f"metric.{metric.name}", metric.name, metric, words)


# -- the two ways to run it ------------------------------------------------------------------------------------


def _compress(words: Words) -> None:
    session = state.current()
    recipe: Recipe = session.recipe
    st.session_state.setdefault("live", session.live)
    with st.container(horizontal=True, vertical_alignment="center", key="compress_bar"):
        session.live = st.toggle(words("live"), key="live", help=words("live.help"))
        quick_button(
            words("compress"),
            words("job.starting"),
            actions.compress,
            key="compress",
            wide=True,
            disabled=not recipe.steps,
            help=words("compress.help") if recipe.steps else words("compress.nothing"),
        )
