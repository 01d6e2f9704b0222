"""Estimates of quality, fitting to a size, and what is kept: on the pages, with a table made up as theory has it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from compresslab.messages import plain
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.models.packed_layout import file_bytes
from compresslab.planning.prediction import Prediction
from compresslab.profiles import sensitivity_store, statistics_files
from compresslab.profiles.sensitivity_table import Point, SensitivityTable, column
from compresslab.recipes.layerwise import Quantizer
from compresslab.recipes.recipe import Recipe
from compresslab.workspace import Workspace
from compresslab_dashboard.editing.fit import budgets, stop_for
from compresslab_dashboard.recipe.sketch import Sketch, from_short
from compresslab_dashboard.results.verdict import make_verdict
from compresslab_dashboard.texts import formats, words_of

from tests.test_dashboard_charts import accuracies, estimate, perplexity
from tests.test_dashboard_pages import healthy, opened, param, said, visible
from tests.tiny_models import write_checkpoint

EN = words_of("en")
RTN = {"recipe": "quantize_rtn", "live": "off"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    monkeypatch.delenv("COMPRESSLAB_STORE", raising=False)
    return Workspace()


def save_table(workspace: Workspace, method: type[Quantizer] = QuantizeRtn) -> None:
    """A fourth of the loss for every bit more; later layers matter more; some whole models on the line."""
    facts = workspace.models.facts("storyteller")
    names = [weight.name for weight in facts.weights if weight.role == "linear"]
    columns = [column(method(bits=bits), dict.fromkeys(names, 4.0 ** (1 - bits))) for bits in (2, 3, 4, 6)]
    importance = {name: 0.001 * (1 + place) for place, name in enumerate(names)}
    total = sum(importance.values())
    points = [
        Point(steps=[{method.name: {"bits": bits}}], log_ratio=r, error=1e-6, divergence=r)
        for bits in (2, 3, 4, 5, 6)
        if (r := total * 4.0 ** (1 - bits))
    ]
    about = sensitivity_store.about(Recipe(model="storyteller"))
    table = SensitivityTable(
        model="storyteller",
        about=about,
        dataset="bundled stories, context 256",
        tokens=1000,
        created="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        importance={"quantize": importance},
        columns=columns,
        points=points,
    )
    sensitivity_store.save(table, facts)


# -- the estimate of quality ---------------------------------------------------------------------------------------


def with_prediction(low: float, ratio: float, high: float) -> object:
    predicted = Prediction(ratio, low, high, "bundled stories, context 256", extrapolated=False)
    return estimate().__class__(**{**vars(estimate()), "predicted": predicted, "why_not": ""})


def test_a_prediction_is_an_estimate_with_its_range_until_something_is_measured() -> None:
    told = with_prediction(1.012, 1.031, 1.052)
    card = make_verdict(told, [], EN).cards[1]  # type: ignore[arg-type]
    assert card.stage == "estimate" and card.tone == "worse"
    assert card.headline.replace(formats.THIN, " ") == "+3 %"
    assert "+1" in card.after and "+5" in card.after and card.note == "bundled stories, context 256"
    assert make_verdict(told, perplexity(4.0, 0.3), EN).cards[1].stage != "estimate"  # type: ignore[arg-type]


def test_the_sentence_tells_what_is_expected_from_what_is_measured() -> None:
    worse = make_verdict(with_prediction(1.012, 1.031, 1.052), [], EN).sentence  # type: ignore[arg-type]
    assert EN("verdict.expected", percent="3.1") in worse and worse.endswith("nothing is measured yet.")
    same = make_verdict(with_prediction(0.999, 1.001, 1.004), [], EN)  # type: ignore[arg-type]
    assert EN("verdict.expected_same") in same.sentence and same.cards[1].tone == "same"


def test_why_nothing_is_predicted_is_said_on_the_card() -> None:
    told = estimate().__class__(**{**vars(estimate()), "why_not": "Not predicted: it trains."})
    assert make_verdict(told, [], EN).cards[1].note == "Not predicted: it trains."
    assert not make_verdict(estimate(), [], EN).cards[1].note  # the sidebar offers to measure


def test_a_classifier_is_judged_by_its_answers() -> None:
    verdict = make_verdict(estimate(), accuracies(), EN)
    assert verdict.cards[1].title == EN("verdict.quality.answers") and "points" in verdict.cards[1].headline
    assert EN("verdict.unmeasured") not in verdict.sentence


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.057, 0.26, 0.58), "+0.1 +0.3 +0.6"),
        ((-0.4, 0.0, 0.4), "−0.4 0.0 +0.4"),
        ((12.0, 31.0, 80.0), "+12 +31 +80"),
        ((1.0, 1.0, 1.0), "+1.0 +1.0 +1.0"),
    ],
)
def test_a_range_shows_no_more_digits_than_its_width_is_worth(values: tuple[float, ...], shown: str) -> None:
    assert " ".join(text.split(formats.THIN)[0] for text in formats.spread(*values)) == shown


# -- fitting to a size ---------------------------------------------------------------------------------------------


def test_the_slider_offers_every_size_up_to_the_baseline_and_stands_where_the_recipe_is() -> None:
    stops = budgets(1_000_000)
    assert stops[-1] == 1_000_000 and all(a < b for a, b in pairwise(stops))
    assert stop_for(stops[3] - 1, stops) == stops[3] == stop_for(stops[3], stops)
    assert stop_for(2_000_000, stops) == 1_000_000


def test_other_settings_go_to_the_steps_that_are_on() -> None:
    sketch = Sketch.of(Recipe.from_dict({"steps": ["quantize_rtn"]}))
    made = sketch.with_steps([QuantizeRtn(bits=2)])
    assert made.recipe.steps == (QuantizeRtn(bits=2),)
    assert [(b.step, b.on) for b in made.blocks if not b.on] == [(b.step, b.on) for b in sketch.blocks if not b.on]


def test_an_unmeasured_model_offers_to_be_measured_and_shows_how_far_that_is(workspace: Workspace) -> None:
    app = opened(**RTN)
    app.button(key="measure_sensitivity").click().run()
    (job,) = workspace.jobs.open()
    assert job.kind == "sensitivity" and job.payload["recipe"]["model"] == "storyteller"
    assert not [button for button in healthy(app).button if button.key == "measure_sensitivity"]
    again = opened(**RTN)  # another visitor sees the same work
    again.button(key="stop_sensitivity").click().run()
    assert workspace.jobs.find(job.id).state == "cancelled"
    assert healthy(again).button(key="measure_sensitivity")


def test_a_measured_model_is_predicted_and_fits_a_size(workspace: Workspace) -> None:
    save_table(workspace)
    app = opened(**RTN)
    assert "nothing is measured yet" in visible(app)
    slider = app.select_slider(key="budget")
    before = int(str(slider.value))
    smaller = budgets(file_bytes(workspace.models.facts("storyteller").weights))
    asked = smaller[smaller.index(before) - 3]
    slider.set_value(asked).run()
    fitted = from_short(param(healthy(app), "recipe"), "storyteller")
    assert workspace.estimate(fitted).compressed_bytes <= asked
    bits = {values["bits"] for values in fitted.steps[0].overrides.values()} | {fitted.steps[0].bits}  # type: ignore[attr-defined]
    assert len(bits) > 1, "Every matrix got the same bits."
    assert "Mixed" in said(app)
    app.button(key="undo").click().run()
    assert param(healthy(app), "recipe") == "quantize_rtn"
    assert app.select_slider(key="budget").value == before


def test_a_size_that_no_setting_reaches_is_refused_and_changes_nothing(workspace: Workspace) -> None:
    save_table(workspace)
    app = opened(**RTN)
    least = budgets(file_bytes(workspace.models.facts("storyteller").weights))[0]
    app.select_slider(key="budget").set_value(least).run()
    assert "can't be met" in said(healthy(app))
    assert param(app, "recipe") == "quantize_rtn"
    app.slider(key="step.quantize.bits").set_value(5).run()
    assert "can't be met" not in said(healthy(app))


# -- what is kept --------------------------------------------------------------------------------------------------


def test_statistics_are_listed_with_their_size_and_cleared_when_sure(workspace: Workspace) -> None:
    place = statistics_files.folder() / "abc"
    place.mkdir()
    (place / "block.safetensors").write_bytes(b"x" * 3_000_000)
    about = {"model": "story_*teller*", "text": plain("own.txt").to_json(), "samples": 12, "sequence_length": 64}
    statistics_files.write_about(place, about)
    app = opened(**RTN)
    assert "story_*teller*, own.txt: 12 samples of 64 tokens" in said(app)
    assert "3.00" in next(text for text in said(app).splitlines() if "own.txt" in text)
    app.button(key="clear_kept_yes").click().run()
    assert workspace.statistics.entries() == [] and EN("kept.nothing") in said(healthy(app))


def test_a_model_that_does_not_write_has_no_texts_side_by_side(workspace: Workspace, tmp_path: Path) -> None:
    app = opened(model=str(write_checkpoint(tmp_path / "judge", "bert")), **RTN)
    assert EN("texts.not_a_writer") in said(app)
    assert not [area for area in app.text_area if area.key == "prompt"]
