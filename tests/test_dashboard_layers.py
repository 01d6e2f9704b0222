"""The Layers page without a browser: its readings, its charts' texts, exceptions, jobs, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.models.packed_layout import file_bytes
from compresslab.planning.allocation import SPARSITIES
from compresslab.profiles import layer_profile
from compresslab.profiles.layer_profile import LayerProfile, MatrixProfile
from compresslab.recipes.layerwise import LayerMethod
from compresslab.recipes.recipe import Recipe
from compresslab.work.jobs import ProfileJob, parse
from compresslab.workspace import Workspace
from compresslab_dashboard.editing.fit import budgets
from compresslab_dashboard.layers import charts, exceptions
from compresslab_dashboard.layers.exceptions import ALONE, AS_STEP
from compresslab_dashboard.layers.looking import Scope
from compresslab_dashboard.layers.readings import cells, layer_bytes, most_and_least, sensitivity
from compresslab_dashboard.recipe.sketch import from_short
from compresslab_dashboard.texts import LANGUAGES, words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy, param, said
from tests.test_dashboard_sizes import save_table

EN = words_of("en")
UP = "model.layers.3.mlp.up_proj.weight"
FEW = {"samples": 4, "sequence_length": 32}
PRUNED = Recipe.from_dict({"steps": [{"prune_magnitude": {"sparsity": 0.5}}, {"quantize_rtn": {"bits": 3}}]})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    monkeypatch.delenv("COMPRESSLAB_STORE", raising=False)
    return Workspace()


def draw_layers() -> None:
    """The page by itself: AppTest can't go to a page of a navigation."""
    from compresslab_dashboard.app_pages import layers

    layers.PAGE.show()


def opened(recipe: str = "quantize_rtn", **params: str) -> AppTest:
    app = AppTest.from_function(draw_layers, default_timeout=PATIENCE)
    for name, value in ({"recipe": recipe, "live": "off"} | params).items():
        app.query_params[name] = value
    return healthy(app.run())


# -- what is drawn -------------------------------------------------------------------------------------------------


def test_the_map_says_what_the_plan_says(workspace: Workspace) -> None:
    plan = workspace.plan(PRUNED)
    found = {cell.name: cell for cell in cells(plan)}
    assert len(found) == 8 * 7
    up = found[UP]
    assert (up.layer, up.part, up.grid_bits) == (3, "mlp.up_proj", 3)
    assert up.sparsity == pytest.approx(0.5, abs=1e-3)
    assert up.bits == 0.5 * 3 + 1 + 16 / 64  # codes of what is kept, the mask, the scales of groups


def test_bytes_of_the_layers_are_those_of_the_file(workspace: Workspace) -> None:
    plan = workspace.plan(PRUNED)
    layers = layer_bytes(plan)
    assert [entry.layer for entry in layers] == [*range(8), None]
    header = file_bytes(plan.weights) - sum(entry.after for entry in layers)
    assert 0 < header < 30_000  # names and shapes
    assert all(entry.after < entry.before for entry in layers[:-1])
    assert layers[-1].after == layers[-1].before  # the tables were not touched


def test_a_layer_that_was_taken_out_has_no_bytes_left(workspace: Workspace) -> None:
    plan = workspace.plan(Recipe.from_dict({"steps": [{"prune_layers": {"layers": 2}}]}))
    assert sum(entry.after == 0 for entry in layer_bytes(plan)[:-1]) == 2


def test_sensitivity_is_the_tables_damage_summed_by_row(workspace: Workspace) -> None:
    save_table(workspace)
    plan = workspace.plan(Recipe.from_dict({"steps": ["quantize_rtn"]}))
    table = workspace.sensitivity.find(plan.recipe)
    assert table is not None
    by_layer, by_part = (sensitivity(table, plan, QuantizeRtn(), rows) for rows in ("layer", "part"))  # type: ignore[arg-type]
    assert by_layer.rows == tuple(str(layer) for layer in range(8)) and len(by_part.rows) == 7
    own = QuantizeRtn(bits=2)
    mine = [w for w in plan.facts.weights if w.role == "linear" and w.layer == 3]
    assert by_layer.damage[3][0] == pytest.approx(1000 * sum(table.damage(own, w) or 0 for w in mine))
    assert sum(row[0] or 0 for row in by_layer.damage) == pytest.approx(sum(row[0] or 0 for row in by_part.damage))
    assert by_layer.damage[3][0] > by_layer.damage[3][-1]  # type: ignore[operator]
    assert [row for row, _ in most_and_least(by_layer)] == ["7", "0"]
    told = charts.describe_sensitivity(by_layer, EN)
    assert "At 2 bit, layer 7" in told and "layer 0 least" in told
    nothing = sensitivity(table, plan, PruneMagnitude(), "layer")
    assert most_and_least(nothing) == [] and {value for row in nothing.damage for value in row} == {None}
    assert charts.describe_sensitivity(nothing, EN) == EN("layers.sensitivity.unlike")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_has_a_text_with_its_numbers(workspace: Workspace, language: str) -> None:
    words = words_of(language)
    plan = workspace.plan(PRUNED)
    matrix = MatrixProfile(name=UP, layer=3, reach=1.0, before=[1, 2, 1], after=[1, 0, 1], zeros=2, bits=3, error=0.125)
    profile = LayerProfile(
        model="storyteller", weights_hash="x", matrices=[matrix], heads=[[1.0, 3.0], [2.0, 2.0]], seconds=1.0
    )
    assert "50" in charts.describe_histogram(matrix, words) and "12.5" in charts.describe_histogram(matrix, words)
    assert "75" in charts.describe_heads(profile, words)
    assert "56" in charts.describe_bits(cells(plan), words)
    assert "MB" in charts.describe_bytes(layer_bytes(plan), words)
    bars, line = charts.histogram(matrix, words).data
    assert list(bars.y) == [25, 0, 25] and list(line.y) == [25, 50, 25]  # of all weights, the zeros counted
    assert charts.heads_map(profile, words).data[0].z[0] == pytest.approx([1 / 3, 1.0])


def test_a_click_on_the_map_names_the_matrix(workspace: Workspace) -> None:
    figure = charts.bits_map(cells(workspace.plan(PRUNED)), UP, EN)
    names = [list(row) for row in figure.data[0].customdata]
    assert names[list(figure.data[0].y).index("mlp.up_proj")][3] == UP
    assert len(figure.layout.shapes) == 1


# -- exceptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "changed"), [("matrix", [UP]), ("layer", "model.layers.3."), ("part", ".mlp.up_proj.weight")]
)
def test_an_exception_holds_for_what_it_was_made_for(workspace: Workspace, scope: Scope, changed: object) -> None:
    step = exceptions.excepted(QuantizeRtn(), exceptions.pattern_of(UP, scope), 8)
    plan = workspace.plan(Recipe.from_dict({}).replace(steps=(step,)))
    eight = [cell.name for cell in cells(plan) if cell.grid_bits == 8]
    every = [cell.name for cell in cells(plan)]
    wanted = changed if isinstance(changed, list) else [name for name in every if str(changed) in name]
    assert eight == wanted


def test_what_was_said_last_holds_and_is_taken_back() -> None:
    part, matrix = (exceptions.pattern_of(UP, scope) for scope in ("part", "matrix"))  # type: ignore[arg-type]
    step: LayerMethod = exceptions.excepted(QuantizeRtn(), matrix, 8)
    step = exceptions.excepted(step, part, 2)
    assert step.for_weight(UP) == QuantizeRtn(bits=2)
    step = exceptions.excepted(step, matrix, 6)
    assert step.for_weight(UP) == QuantizeRtn(bits=6) and exceptions.chosen(step, matrix) == 6
    step = exceptions.excepted(step, matrix, ALONE)
    assert step.for_weight(UP) is None and exceptions.chosen(step, matrix) == ALONE
    step = exceptions.excepted(exceptions.excepted(step, matrix, AS_STEP), part, AS_STEP)
    assert step == QuantizeRtn()


def test_other_exceptions_of_a_part_stay() -> None:
    step = QuantizeRtn(overrides={"layers.3.*": {"group_size": 32, "bits": 2}})
    assert exceptions.excepted(step, "layers.3.*", AS_STEP).overrides == {"layers.3.*": {"group_size": 32}}
    assert exceptions.without(step) == QuantizeRtn()


def test_a_pattern_of_zeros_has_no_values_to_choose_from() -> None:
    assert exceptions.choices(PruneMagnitude(n_of_m="2:4")) == [AS_STEP, ALONE]
    assert exceptions.choices(PruneMagnitude())[2:] == list(SPARSITIES)


# -- the page ------------------------------------------------------------------------------------------------------


def test_an_exception_goes_into_the_recipe_and_undo_takes_it_back(workspace: Workspace) -> None:
    app = opened(matrix=UP)
    app.selectbox(key="exception.step.quantize").set_value(6).run()
    steps = from_short(param(healthy(app), "recipe"), "storyteller").steps
    assert steps == (QuantizeRtn(overrides={"layers.3.mlp.up_proj": {"bits": 6}}),)
    assert EN("layers.exceptions", count=1) in said(app)
    app.button(key="undo").click().run()
    assert param(healthy(app), "recipe") == "quantize_rtn"
    app.button(key="redo").click().run()
    app.button(key="clear_exceptions").click().run()
    assert param(healthy(app), "recipe") == "quantize_rtn"


def test_a_size_is_alloted_matrix_by_matrix(workspace: Workspace) -> None:
    save_table(workspace)
    app = opened()
    stops = budgets(file_bytes(workspace.models.facts("storyteller").weights))
    budget = stops[len(stops) // 3]
    app.select_slider(key="budget").set_value(budget).run()
    (step,) = from_short(param(healthy(app), "recipe"), "storyteller").steps
    assert isinstance(step, QuantizeRtn) and step.overrides
    assert workspace.estimate(Recipe().replace(steps=(step,))).compressed_bytes <= budget


def test_the_kind_of_step_that_was_chosen_is_drawn(workspace: Workspace) -> None:
    save_table(workspace)
    app = opened("prune_magnitude;quantize_rtn")
    assert EN.short_title("prune_magnitude") + ": expected" in said(app)
    app.segmented_control(key="sensitivity_kind").set_value("quantize").run()
    assert EN.short_title("quantize_rtn") + ": expected" in said(healthy(app))


def test_a_model_that_was_not_measured_offers_to(workspace: Workspace) -> None:
    app = opened()
    app.button(key="measure_sensitivity").click().run()
    assert [job.kind for job in workspace.jobs.open()] == ["sensitivity"]
    assert app.button(key="stop_sensitivity")


def test_a_close_look_is_asked_for_once_and_found_again(workspace: Workspace) -> None:
    app = opened()
    app.button(key="look").click().run()
    (job,) = workspace.jobs.open()
    assert healthy(app) and job.kind == "profile"
    payload = parse(job.payload)
    assert isinstance(payload, ProfileJob) and payload.run is None
    assert app.button(key="stop_look")


def test_a_recipe_that_does_not_fit_is_refused_in_words(workspace: Workspace) -> None:
    app = opened("quantize_rtn;quantize_hqq")
    assert "comes after another quantize step" in said(app)


def test_a_run_that_is_gone_is_refused_in_words(workspace: Workspace) -> None:
    assert opened(of="nope").error


def test_the_language_is_that_of_the_link(workspace: Workspace) -> None:
    assert words_of("zh")("layers.map.help") in said(opened(lang="zh"))


# -- the close look ------------------------------------------------------------------------------------------------


def test_a_close_look_counts_every_weight(workspace: Workspace) -> None:
    recipe = PRUNED.from_dict(PRUNED.to_dict() | {"calibration": {**PRUNED.calibration.model_dump(), **FEW}})
    assert workspace.profiles.find(recipe) is None
    profile = workspace.profiles.measure(recipe)
    assert workspace.profiles.find(recipe) == profile
    facts = workspace.models.facts("storyteller")
    counts = {weight.name: weight.count for weight in facts.weights if weight.role == "linear"}
    assert {m.name for m in profile.matrices} == set(counts)
    for matrix in profile.matrices:
        assert sum(matrix.before) == counts[matrix.name] == sum(matrix.after) + matrix.zeros
        assert matrix.bits == 3 and matrix.sparsity >= 0.49 and 0 < (matrix.error or 0) < 1
    assert len(profile.heads) == facts.layers and {len(row) for row in profile.heads} == {facts.heads.count}
    assert all(value > 0 for row in profile.heads for value in row)


def test_how_it_is_measured_makes_no_other_look(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = LayerProfile(model="storyteller", weights_hash="x", matrices=[], heads=[], seconds=0.0)

    class Eyes:
        def profile(self, recipe: Recipe, run_id: str | None, **_: object) -> LayerProfile:
            return seen

    layer_profile.measure(Eyes(), PRUNED, None, lambda event: None, lambda: False)
    shorter = PRUNED.replace(evaluation=PRUNED.evaluation.model_copy(update={"max_tokens": 1024}))
    assert workspace.profiles.find(shorter) == seen
    assert workspace.profiles.find(PRUNED.replace(seed=1)) is None
