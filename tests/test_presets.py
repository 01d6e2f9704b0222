"""Presets: chosen from estimates alone, and what they promise holds."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from compresslab.commands.recipe import build_recipe
from compresslab.errors import BadInput
from compresslab.methods.quantize_gptq import QuantizeGptq
from compresslab.planning.presets import TELLS
from compresslab.recipes.recipe import Recipe
from compresslab.workspace import Workspace
from compresslab_dashboard.recipe.code import as_command, as_python
from compresslab_dashboard.recipe.sketch import Sketch

from tests.test_dashboard_pages import healthy, opened, param, said
from tests.test_dashboard_sizes import save_table

PLAIN = Recipe.from_dict({"steps": ["quantize_rtn"]})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    monkeypatch.delenv("COMPRESSLAB_STORE", raising=False)
    return Workspace()


# -- what they choose ----------------------------------------------------------------------------------------------


def test_half_is_half_with_as_many_bits_as_fit(workspace: Workspace) -> None:
    told = workspace.preset("half", PLAIN).estimate
    assert told.compressed_bytes <= told.baseline_bytes // 2
    assert told.compressed_bytes > 0.4 * told.baseline_bytes  # no smaller than it must be


def test_fastest_reads_least_of_what_still_does(workspace: Workspace) -> None:
    chosen = workspace.preset("fastest", PLAIN)
    coarser = workspace.estimate(Recipe.from_dict({"steps": [{"quantize_rtn": {"bits": 6}}]}))
    assert chosen.estimate.decode_bound > coarser.decode_bound > 1
    assert all(step.bits >= 4 for step in chosen.recipe.steps)  # type: ignore[attr-defined]


def test_where_no_low_bit_kernel_runs_nothing_is_called_faster(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="makes nothing faster"):
        workspace.preset("fastest", PLAIN.replace(runtime="torch"))


def test_the_smallest_needs_to_be_measured_first(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="not measured"):
        workspace.preset("smallest", PLAIN)


def test_the_smallest_is_as_small_as_still_does(workspace: Workspace) -> None:
    save_table(workspace, QuantizeGptq)
    chosen = workspace.preset("smallest", PLAIN)
    assert chosen.worst_ratio is not None and 1 < chosen.worst_ratio <= TELLS
    half = workspace.preset("half", PLAIN)
    assert chosen.estimate.compressed_bytes < half.estimate.compressed_bytes
    assert half.worst_ratio is not None and half.worst_ratio < chosen.worst_ratio


def test_nothing_is_made_up_where_another_method_was_measured(workspace: Workspace) -> None:
    save_table(workspace)  # of RTN alone, and the presets take GPTQ
    with pytest.raises(BadInput, match="keep more bits"):
        workspace.preset("smallest", PLAIN)


def test_the_rest_of_the_recipe_stays(workspace: Workspace) -> None:
    chosen = workspace.preset("half", PLAIN.replace(seed=7))
    assert chosen.recipe.seed == 7 and chosen.recipe.steps != PLAIN.steps


# -- on the page ---------------------------------------------------------------------------------------------------


def test_a_preset_fills_the_stack_and_says_what_it_did(workspace: Workspace) -> None:
    app = opened(recipe="quantize_rtn", live="off")
    assert app.button(key="preset.smallest").disabled
    app.button(key="preset.half").click().run()
    assert param(healthy(app), "recipe") == "quantize_gptq,bits=6"
    assert "Half the size: 6 bit" in said(app)
    app.slider(key="step.quantize.bits").set_value(3).run()
    assert "Half the size: 6 bit" not in said(app)
    app.button(key="undo").click().run()
    app.button(key="undo").click().run()
    assert param(healthy(app), "recipe") == "quantize_rtn"


def test_what_was_undone_is_done_again_until_something_else_is_changed(workspace: Workspace) -> None:
    app = opened(recipe="quantize_rtn", live="off")
    assert app.button(key="redo").disabled
    app.slider(key="step.quantize.bits").set_value(6).run()
    app.button(key="undo").click().run()
    app.button(key="redo").click().run()
    assert param(healthy(app), "recipe") == "quantize_rtn,bits=6"
    app.button(key="undo").click().run()
    app.slider(key="step.quantize.bits").set_value(5).run()
    assert healthy(app).button(key="redo").disabled


def test_a_step_is_duplicated_and_off_where_two_make_no_sense(workspace: Workspace) -> None:
    sketch = Sketch.of(Recipe.from_dict({"steps": ["prune_magnitude", "quantize_rtn"]}))
    twice = sketch.duplicated("step.prune")
    assert [block.step.name for block in twice.blocks if block.on].count("prune_magnitude") == 2
    assert sketch.duplicated("step.quantize").recipe == sketch.recipe  # two quantize steps conflict
    app = opened(recipe="prune_magnitude", live="off")
    app.button(key="step.prune.duplicate").click().run()
    assert param(healthy(app), "recipe") == "prune_magnitude;prune_magnitude"


def test_the_model_says_that_it_fits(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Fits this machine" in said(opened())
    monkeypatch.setattr("compresslab.recipes.memory.available", lambda: 1_000_000)
    app = opened()
    assert "Too large for this machine" in said(app) and "would fit" in said(app)


# -- to copy -------------------------------------------------------------------------------------------------------

COPIED = [
    {"steps": [{"prune_magnitude": {"sparsity": 0.5}}, {"quantize_rtn": {"bits": 3}}], "seed": 3},
    {"steps": ["quantize_gptq"], "evaluation": {"max_tokens": 1024}, "device": "cpu"},
    {"steps": [{"quantize_rtn": {"overrides": {"layers.3.*": {"bits": 6}}, "ignore": ["layers.0.*"]}}]},
    {"steps": [{"prune_wanda": {"n_of_m": "2:4"}}]},
    {"steps": []},
]


@pytest.mark.parametrize("data", COPIED)
def test_what_is_copied_makes_the_same_recipe(data: dict[str, object]) -> None:
    recipe = Recipe.from_dict(data)
    before, _, _ = as_python(recipe).partition("record = ")
    scope: dict[str, object] = {}
    exec(before, scope)
    assert scope["recipe"] == recipe
    options = shlex.split(as_command(recipe).replace("\\\n", ""))[2:]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    changes = tuple(value for name, value in pairs if name == "--set")
    fields = {name.removeprefix("--"): value for name, value in pairs if name != "--set"}
    assert build_recipe(None, changes, **fields) == recipe


def test_a_method_twice_is_run_from_its_file() -> None:
    recipe = Recipe.from_dict({"steps": ["prune_magnitude", "prune_magnitude"]})
    assert as_command(recipe) == "compresslab run recipe.yaml"
