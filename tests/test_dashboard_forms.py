"""Settings -> widgets -> settings, and the recipe's short form in the URL."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from compresslab.errors import BadInput
from compresslab.methods.distill_logits import DistillLogits
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.recipes.recipe import TEXTS, Recipe
from compresslab.settings import Control, Settings
from compresslab_dashboard.recipe.forms import places, scale, slider_format
from compresslab_dashboard.recipe.sketch import Sketch, from_short, to_short
from compresslab_dashboard.texts import words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE

OWNERS: dict[str, type[Settings]] = {**METHODS, **METRICS, **TEXTS, "decoding": Decoding}


def units(kind: type[Settings]) -> set[str]:
    return {control.unit for control in kind.controls()}


def control(kind: type[Settings], name: str) -> Control:
    return next(control for control in kind.controls() if control.name == name)


# -- which widget --------------------------------------------------------------------------------------------------


def test_a_wide_range_gets_a_logarithmic_slider() -> None:
    stops = scale(control(DistillLogits, "learning_rate"), 5e-4)
    assert stops[0] == 1e-6 and stops[-1] == 1e-2 and 5e-4 in stops
    ratios = [after / before for before, after in pairwise(stops)]
    assert max(ratios) <= 2.51


def test_steps_begin_at_zero_and_grow_by_more_and_more() -> None:
    stops = scale(control(DistillLogits, "steps"), 100)
    assert stops[:4] == [0, 10, 20, 50] and stops[-1] == 5000
    assert all(isinstance(stop, int) for stop in stops)


def test_a_value_between_the_stops_becomes_one() -> None:
    assert 777 in scale(control(DistillLogits, "steps"), 777)
    assert scale(control(QuantizeRtn, "group_size"), 48) == [0, 32, 48, 64, 128]


def test_an_even_range_needs_no_scale() -> None:
    assert scale(control(PruneMagnitude, "sparsity"), 0.3) == []
    assert places(control(PruneMagnitude, "sparsity")) == pytest.approx(19)


def test_shares_are_read_in_percent_and_others_with_their_unit() -> None:
    assert slider_format(control(PruneMagnitude, "sparsity"), "") == "percent"
    assert slider_format(control(QuantizeRtn, "bits"), "bit") == "%d bit"
    assert slider_format(control(DistillLogits, "temperature"), "") == "%.2g"


# -- drawn ---------------------------------------------------------------------------------------------------------


def draw(owner: str, values: dict, limits: dict) -> None:  # type: ignore[type-arg]  # its text runs alone
    import streamlit as st
    from compresslab_dashboard.recipe.forms import form
    from compresslab_dashboard.texts import words_of

    from tests.test_dashboard_forms import OWNERS

    limits = st.session_state.get("limits", limits)
    words = words_of(st.session_state.get("language", "zh"))
    if not st.session_state.get("elsewhere"):
        st.session_state["result"] = form("here", owner, OWNERS[owner].parse(values, owner), words, limits)


def drawn(owner: str, values: dict[str, Any] | None = None, limits: dict[str, float] | None = None) -> AppTest:
    app = AppTest.from_function(draw, kwargs={"owner": owner, "values": values or {}, "limits": limits or {}})
    app.session_state["here.advanced"] = True
    app.run(timeout=PATIENCE)
    assert not app.exception
    return app


def test_a_closed_section_is_not_drawn_and_its_widgets_are_forgotten() -> None:
    app = drawn("quantize_rtn")
    app.text_input(key="here.ignore").set_value("lm_head").run()
    assert app.session_state["result"].ignore == ("lm_head",)
    app.session_state["here.advanced"] = False
    app.run()
    assert "here.ignore" not in [widget.key for widget in app.text_input]
    assert "here.ignore" not in app.session_state


@pytest.mark.parametrize("owner", OWNERS)
def test_a_form_says_what_it_was_given(owner: str) -> None:
    assert drawn(owner).session_state["result"] == OWNERS[owner]()


@pytest.mark.parametrize("owner", OWNERS)
def test_what_is_drawn_again_leaves_the_widgets_to_the_hand_that_moves_them(owner: str) -> None:
    """A value that is sent takes back what was done since: presses on a slider were lost in this way."""
    app = drawn(owner)
    assert sent(app) == len(OWNERS[owner]().controls())
    app.run()
    assert not app.exception and sent(app) == 0


def sent(app: AppTest) -> int:
    """Widgets whose value goes to the browser."""
    return sum(bool(getattr(getattr(element, "proto", None), "set_value", False)) for element in app.main)


def test_what_was_set_before_a_visit_elsewhere_is_there_again() -> None:
    app = drawn("prune_magnitude")
    app.slider(key="here.sparsity").set_value(0.5).run()
    app.session_state["elsewhere"] = True
    app.run()
    assert not app.slider
    app.session_state["elsewhere"] = False
    app.run()
    assert app.session_state["result"] == PruneMagnitude(sparsity=0.5)


@pytest.mark.parametrize("owner", [name for name, kind in OWNERS.items() if "layers" in units(kind)])
def test_another_model_keeps_what_it_can_bear(owner: str) -> None:
    name = next(control.name for control in OWNERS[owner].controls() if control.unit == "layers")
    app = drawn(owner, limits={"layers": 12})
    next(slider for slider in [*app.slider, *app.select_slider] if slider.key == f"here.{name}").set_value(5).run()
    for layers, kept in ((8, 5), (4, 4)):
        app.session_state["limits"] = {"layers": layers}
        app.run()
        assert not app.exception and getattr(app.session_state["result"], name) == kept


def test_another_language_changes_no_choice() -> None:
    app = drawn("quantize_rtn")
    app.select_slider(key="here.group_size").set_value(0).run()
    app.session_state["language"] = "en"
    app.run()
    assert not app.exception and app.session_state["result"] == QuantizeRtn(group_size=0)


def test_a_form_shows_what_is_not_the_default() -> None:
    values = {"steps": 130, "temperature": 3.5, "learning_rate": 3e-4, "student_layers": 4}
    assert drawn("distill_logits", values).session_state["result"] == DistillLogits(**values)


def test_patterns_and_exceptions_are_typed_as_text() -> None:
    values = {"ignore": ["layers.0.*", "lm_head"], "overrides": {"layers.*.mlp.*": {"bits": 3}}}
    app = drawn("quantize_rtn", values)
    assert app.text_input(key="here.ignore").value == "layers.0.*, lm_head"
    app.text_area(key="here.overrides").set_value("layers.1.*: {bits: 2}\nlayers.2.*: {bits: 8}").run()
    assert app.session_state["result"].overrides == {"layers.1.*": {"bits": 2}, "layers.2.*": {"bits": 8}}


@pytest.mark.parametrize("text", ["layers.1.*: {bits: 99}", "layers.1.*: {", "just words", "- a"])
def test_exceptions_that_make_no_sense_are_refused_in_place(text: str) -> None:
    app = drawn("quantize_rtn")
    app.text_area(key="here.overrides").set_value(text).run()
    assert not app.exception and len(app.error) == 1
    assert app.session_state["result"] == QuantizeRtn()


def test_moving_a_slider_changes_the_settings() -> None:
    app = drawn("prune_magnitude")
    app.slider(key="here.sparsity").set_value(0.5).run()
    assert app.session_state["result"] == PruneMagnitude(sparsity=0.5)


def test_a_model_of_eight_layers_offers_eight() -> None:
    app = drawn("distill_logits", limits={"layers": 8})
    stops = app.select_slider(key="here.student_layers").options
    assert stops == [words_of("zh")("choice.student_layers.0"), *(f"{n} 层" for n in range(1, 9))]
    app = drawn("distill_logits", {"student_layers": 40}, limits={"layers": 8})
    assert app.session_state["result"].student_layers == 8


# -- the short form ------------------------------------------------------------------------------------------------

RECIPES = [
    {"steps": []},
    {"steps": ["quantize_rtn"]},
    {"steps": [{"prune_magnitude": {"sparsity": 0.55, "ratios": "global"}}, {"quantize_rtn": {"bits": 3}}]},
    {"steps": [{"distill_logits": {"learning_rate": 5e-05, "steps": 20}}], "seed": 7, "device": "cpu"},
    {"steps": ["prune_magnitude", "distill_logits", "prune_magnitude"]},
    {"steps": [{"prune_magnitude": {"n_of_m": "2:4", "ignore": ["layers.0.*", "*.down_proj"]}}]},
    {"steps": [{"quantize_rtn": {"overrides": {"layers.*.mlp.*": {"bits": 3, "symmetric": False}, "layers.1.*": {}}}}]},
    {"evaluation": {"text": "/tmp/a b;c,d=e.txt", "max_tokens": 4096}, "metrics": [{"speed": {"repeats": 3}}]},
]


@pytest.mark.parametrize("data", RECIPES)
def test_the_short_form_brings_the_recipe_back(data: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(data)
    again = from_short(to_short(recipe), recipe.model)
    assert again.replace(metrics=recipe.metrics) == recipe
    for metric in recipe.metrics:
        assert metric in again.metrics


def test_the_short_form_is_short() -> None:
    assert to_short(Recipe.from_dict({"steps": ["quantize_rtn"]})) == "quantize_rtn"
    assert to_short(Recipe()) == "baseline"


@pytest.mark.parametrize("text", ["no_such_method", "quantize_rtn,bits=99", "quantize_rtn,bits", "recipe,model=x;;,"])
def test_a_broken_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"\w+.*\."):
        from_short(text, "storyteller")


def test_a_sketch_keeps_order_and_offers_what_is_missing() -> None:
    sketch = Sketch.of(Recipe.from_dict({"steps": ["quantize_rtn"]}))
    assert [(block.step.name, block.on) for block in sketch.blocks] == [
        ("prune_sparsegpt", False),
        ("distill_logits", False),
        ("quantize_rtn", True),
    ]
    twice = Recipe.from_dict({"steps": ["prune_magnitude", "distill_logits", {"prune_magnitude": {"sparsity": 0.6}}]})
    sketch = Sketch.of(twice)
    assert sketch.recipe == twice
    assert len({block.place for block in sketch.blocks}) == len(sketch.blocks) == 4
    assert sketch.all_off().recipe.steps == ()


@pytest.mark.parametrize(
    ("bits", "method", "then"),
    [(5, "quantize_rtn", 5), (5, "quantize_smooth", 5), (3, "quantize_smooth", 8), (4, "quantize_smooth", 8)],
)
def test_another_method_takes_over_what_was_changed_and_what_it_can_say(bits: int, method: str, then: int) -> None:
    sketch = Sketch.of(Recipe.from_dict({"steps": [{"quantize_gptq": {"bits": bits}}]}))
    step = sketch.with_method("step.quantize", method).block("step.quantize").step
    assert step.name == method and step.model_dump()["bits"] == then
