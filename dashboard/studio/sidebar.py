"""The recipe: the model, the steps with their sliders, what it is measured on, and Compress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.errors import BadInput, CompresslabError
from core.labelled import check_examples
from core.methods import Kind
from core.metrics import Metric
from core.model_facts import ModelFacts
from core.recipe import DEVICES, Recipe
from core.registry import METHODS
from core.texts import check_file
from dashboard import forms, state
from dashboard.formats import file_size, number
from dashboard.sketch import KINDS, Block
from dashboard.studio import actions
from dashboard.studio.fit import fit_to_size
from dashboard.studio.kept import kept
from dashboard.texts import Words, escaped


def sidebar() -> None:
    words = state.words()
    if "model" not in st.session_state:
        state.fill_widgets()
    with st.sidebar:
        facts = _model(words)
        head = st.container(horizontal=True, vertical_alignment="center", key="recipe_head")
        _steps(words, facts)
        fit_to_size(facts, words)
        _measured_on(words, facts)
        _recipe_head(head, words)  # last: only now is it known whether there is something to undo
        _yaml(words)
        kept(words)
        _compress(words)


# -- the model -------------------------------------------------------------------------------------------------


def _model(words: Words) -> ModelFacts | None:
    current = state.current().recipe.model
    names = [*state.workspace().models(), current, st.session_state["model"]]
    asked = st.selectbox(
        words("model"),
        options=list(dict.fromkeys(filter(None, names))),
        key="model",
        help=words("model.help"),
        placeholder=words("model.placeholder"),
        accept_new_options=True,
    )
    facts, problem = _facts((asked or "").strip(), words)
    if problem:
        st.error(escaped(problem))
    else:
        state.change(state.set_base(model=asked.strip()))
    if facts is not None:
        st.caption(
            words(
                "model.facts",
                family=escaped(facts.family),
                parameters=parameters_text(facts.parameters),
                layers=facts.layers,
                size=file_size(facts.file_bytes),
            )
        )
    _device(words)
    return facts


def parameters_text(count: int) -> str:
    """3.1 M, 1.24 B: as models are named."""
    return f"{number(count / 1e9)} B" if count >= 1e9 else f"{number(count / 1e6)} M"


def _facts(name: str, words: Words) -> tuple[ModelFacts | None, str]:
    """Facts of the model, and what is wrong with the name. A Hub model that is not here yet has neither."""
    if not name:
        return None, words("model.none")
    try:
        return state.workspace().facts(name), ""
    except BadInput as error:
        return None, "" if state.is_remote(name) else str(error)
    except CompresslabError as error:
        return None, str(error)


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
    if hardware is not None:
        reason = escaped(hardware.device_reason)
        st.caption(words("device.chosen", device=escaped(hardware.device), dtype=hardware.dtype, reason=reason))


# -- the steps -------------------------------------------------------------------------------------------------


def _recipe_head(head: DeltaGenerator, words: Words) -> None:
    session = state.current()
    head.markdown(f"**{words('recipe')}**", width="stretch")
    head.button(
        words("recipe.undo"),
        key="undo",
        help=words("recipe.undo.help"),
        disabled=not session.undo,
        on_click=state.undo,
        type="tertiary",
    )
    head.button(
        words("recipe.baseline"),
        key="to_baseline",
        help=words("recipe.baseline.help"),
        disabled=not session.recipe.steps,
        on_click=state.to_baseline,
        type="tertiary",
    )


def _steps(words: Words, facts: ModelFacts | None) -> None:
    limits: dict[str, float] = {"layers": facts.layers} if facts else {}
    blocks = tuple(_block(block, words, limits) for block in state.current().sketch.blocks)
    state.change(replace(state.current().sketch, blocks=blocks))
    _add_step(words, facts)


def _block(block: Block, words: Words, limits: dict[str, float]) -> Block:
    name = block.step.name
    with st.container(border=True, key=f"{block.place}.block"):
        with st.container(horizontal=True, vertical_alignment="center", key=f"{block.place}.head"):
            key = f"{block.place}.on"
            st.session_state.setdefault(key, block.on)
            on = st.toggle(
                words(f"kind.{block.step.kind}"), key=key, help=words(f"kind.{block.step.kind}.help"), width="stretch"
            )
            if on:
                _block_menu(block, words)
        if not on:
            return replace(block, on=False)
        _method(block, words)
        st.caption(escaped(words.summary(name)))
        step = forms.form(block.place, name, block.step, words, limits)
    return replace(block, on=on, step=step)


def _method(block: Block, words: Words) -> None:
    """Which method of its kind does the step."""
    key = f"{block.place}.method"
    st.session_state[key] = block.step.name
    st.selectbox(
        words("step.method"),
        options=_methods_of(block.step.kind),
        format_func=words.short_title,
        key=key,
        help=escaped(block.step.paper),
        on_change=lambda: state.replace_sketch(state.current().sketch.with_method(block.place, st.session_state[key])),
        label_visibility="collapsed",
    )


def _block_menu(block: Block, words: Words) -> None:
    """Order and removal: seldom needed, so folded away."""
    sketch = state.current().sketch
    with st.popover(words("step.menu"), type="tertiary", key=f"{block.place}.menu"):
        for name, edited in {
            "earlier": sketch.moved(block.place, -1),
            "later": sketch.moved(block.place, 1),
            "remove": sketch.removed(block.place),
        }.items():
            st.button(
                words(f"step.{name}"),
                key=f"{block.place}.{name}",
                type="tertiary",
                disabled=edited == sketch,
                on_click=state.replace_sketch,
                args=(edited,),
            )


def _add_step(words: Words, facts: ModelFacts | None) -> None:
    """The kind first, then its methods, each with what it does: a list of all would be a wall."""
    with st.popover(words("step.add"), type="tertiary", key="add_step"):
        kind = st.segmented_control(
            words("step.kind"),
            options=KINDS,
            format_func=lambda kind: words(f"kind.{kind}"),
            default=KINDS[0],
            key="add_kind",
            required=True,
            width="stretch",
            label_visibility="collapsed",
        )
        st.caption(words(f"kind.{kind}.help"))
        for name in _methods_of(kind):
            st.button(
                f"**{words.title(name)}**  \n{escaped(words.summary(name))}",
                key=f"add.{name}",
                help=escaped(METHODS[name].paper),
                width="stretch",
                disabled=facts is not None and facts.task not in METHODS[name].tasks,
                on_click=lambda name=name: state.replace_sketch(state.current().sketch.added(name)),
            )


def _methods_of(kind: Kind) -> list[str]:
    return [name for name, method in METHODS.items() if method.kind == kind]


# -- what it is measured on ------------------------------------------------------------------------------------


def _measured_on(words: Words, facts: ModelFacts | None) -> None:
    base = state.current().sketch.base
    with st.expander(words("recipe.measured_on"), key="measured_on"):
        st.markdown(f"**{words('recipe.evaluation')}**")
        evaluation = forms.form("evaluation", "evaluation", base.evaluation, words)
        _check(lambda: check_file(evaluation.text))
        if facts is not None:
            _check(lambda: check_examples(evaluation.questions, facts))
        st.markdown(f"**{words('recipe.calibration')}**")
        calibration = forms.form("calibration", "calibration", base.calibration, words)
        _check(lambda: check_file(calibration.text))
        metrics = tuple(_metric(metric, words) for metric in base.metrics)
        seed = st.number_input(
            words("recipe.seed"), min_value=0, step=1, key="seed", help=words("recipe.seed.help"), format="%d"
        )
    fields = {"evaluation": evaluation, "calibration": calibration, "metrics": metrics, "seed": int(seed)}
    state.change(state.set_base(**fields))


def _check(file: Callable[[], None]) -> None:
    """Say what is wrong with a file of one's own where it was named, before anything runs."""
    try:
        file()
    except BadInput as error:
        st.error(escaped(str(error)))


def _metric(metric: Metric, words: Words) -> Metric:
    if not metric.controls():
        return metric
    st.markdown(f"**{escaped(words.title(metric.name))}**")
    return forms.form(f"metric.{metric.name}", metric.name, metric, words)


def _yaml(words: Words) -> None:
    with st.expander(words("recipe.yaml"), key="yaml"):
        st.caption(words("recipe.yaml.help"))
        st.code(state.current().recipe.to_yaml(), language="yaml", height=240)


# -- the two ways to run it ------------------------------------------------------------------------------------


def _compress(words: Words) -> None:
    session = state.current()
    recipe: Recipe = session.recipe
    st.session_state.setdefault("live", session.live)
    with st.container(horizontal=True, vertical_alignment="center", key="compress_bar"):
        session.live = st.toggle(words("live"), key="live", help=words("live.help"))
        # No callback: that would run before the setting that was typed a moment ago is read.
        if st.button(
            words("compress"),
            key="compress",
            type="primary",
            width="stretch",
            disabled=not recipe.steps,
            help=words("compress.help") if recipe.steps else words("compress.nothing"),
        ):
            actions.compress()
