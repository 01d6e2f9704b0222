"""Explore without a browser: what can be chosen, what is launched, and what the page says of it."""

from __future__ import annotations

import pytest
from compresslab.messages import plain
from compresslab.methods.quantize_gptq import QuantizeGptq
from compresslab.planning.estimate import Estimate
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab.work import jobs
from compresslab.work.jobs import RunJob
from compresslab.workspace import Workspace
from compresslab_dashboard.explore import foreseen
from compresslab_dashboard.explore.axes import choices, first_axes, scene_axis, typed, value_text
from compresslab_dashboard.explore.exploring import MOST_COMPARED, Exploring
from compresslab_dashboard.texts import LANGUAGES, formats, words_of
from streamlit.testing.v1 import AppTest

from tests.explore_scenes import EVIL, GPTQ, record
from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy, left_in_english, param, said, visible
from tests.test_dashboard_sizes import save_table

EN = words_of("en")
BOTH = Recipe.from_dict({"steps": ["prune_wanda", "quantize_gptq"]})


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


# -- what can be chosen --------------------------------------------------------------------------------------------


def test_a_recipe_offers_its_methods_settings_texts_and_seed() -> None:
    offered = choices(BOTH)
    assert {"quantize", "quantize.bits", "prune", "prune.sparsity", "calibration.samples", "seed"} <= set(offered)
    assert offered["quantize.bits"].offered == (2, 3, 4, 5, 6, 7, 8)
    assert set(offered["quantize"].usual) <= set(offered["quantize"].offered)
    assert "quantize_gptq" in offered["quantize"].usual
    assert "quantize.overrides" not in offered and "quantize.ignore" not in offered


@pytest.mark.parametrize("recipe", [GPTQ, BOTH, Recipe()])
def test_what_is_chosen_at_first_can_be_run(recipe: Recipe, workspace: Workspace) -> None:
    offered = choices(recipe)
    axes = [f"{path}={','.join(str(v) for v in offered[path].usual)}" for path in first_axes(recipe)]
    points = workspace.sweeps.plan(Sweep.over(recipe, axes))
    assert points and not [point.aside for point in points if point.aside]


def test_every_choice_of_every_method_is_a_sweep_and_has_words() -> None:
    from compresslab.recipes.method import METHODS

    for name in METHODS:
        base = Recipe.from_dict({"steps": [name]})
        for path, choice in choices(base).items():
            assert choice.usual and set(choice.usual) <= set(choice.offered)
            axis = Sweep.over(base, [f"{path}={','.join(str(v) for v in choice.usual)}"]).axes[0]
            for language in LANGUAGES:
                shown = scene_axis(axis, base, words_of(language))
                assert shown.label and all(shown.texts) and shown.label != path


def test_two_steps_of_a_kind_are_told_apart() -> None:
    offered = choices(Recipe.from_dict({"steps": ["prune_layers", "prune_wanda"]}))
    assert "prune_wanda.sparsity" in offered and "prune_layers.layers" in offered and "prune" not in offered


def test_typed_values_are_numbers_in_order() -> None:
    assert typed(choices(GPTQ)["quantize.group_size"], [128, "16", 64]) == (16, 64, 128)
    assert value_text("prune.sparsity", 0.35, BOTH, EN) == "35 %"
    assert value_text("quantize", "quantize_gptq", GPTQ, EN) == "GPTQ"
    assert value_text("quantize", "quantize_rtn", GPTQ, EN) == "RTN"


# -- the page ------------------------------------------------------------------------------------------------------


def draw_explore() -> None:
    from compresslab_dashboard.app_pages import explore

    explore.PAGE.show()


def explore(**params: str) -> AppTest:
    app = AppTest.from_function(draw_explore, default_timeout=PATIENCE)
    for name, value in params.items():
        app.query_params[name] = value
    return healthy(app.run())


def everything(app: AppTest) -> str:
    return visible(app) + "\n".join(str(element.proto.text) for element in app.get("progress"))


def finish(workspace: Workspace, worse: float = 2.0) -> None:
    """Do the next job as a worker would."""
    row = workspace.store.claim("worker")
    assert row is not None and row.stage is not None
    made = record(str(row.run_id), Recipe.from_dict(row.payload["recipe"]), stage=row.stage, worse=worse)
    workspace.store.save_run(made, row.id)
    workspace.store.finish(row.id, "done")


def test_an_empty_page_offers_a_sweep_that_works(workspace: Workspace) -> None:
    app = explore()
    assert "Nothing explored yet" in said(app)
    count = int(app.button(key="launch").label.split()[1])
    app.button(key="launch_first").click().run()
    assert len(workspace.jobs.open()) == count and {job.stage for job in workspace.jobs.open()} == {"draft"}
    assert param(healthy(app), "sweep") == "1"
    assert f"{count} waiting" in everything(app)


def test_what_is_chosen_is_what_is_run(workspace: Workspace) -> None:
    app = explore()
    app.selectbox(key="axis.1").set_value("quantize.group_size").run()
    app.multiselect(key="values.quantize.bits").set_value([3, 8]).run()
    app.multiselect(key="values.quantize.group_size").set_value([32]).run()
    app.segmented_control(key="sweep_stage").set_value("final").run()
    assert healthy(app).button(key="launch").label == "Run 2 points"
    app.button(key="launch").click().run()
    steps = [job.payload["recipe"]["steps"][0]["quantize_gptq"] for job in workspace.jobs.open()]
    assert sorted((step["bits"], step["group_size"]) for step in steps) == [(3, 32), (8, 32)]
    assert {job.stage for job in workspace.jobs.open()} == {"final"}


def test_no_value_means_no_launch_and_a_sentence(workspace: Workspace) -> None:
    app = explore()
    app.multiselect(key="values.quantize.bits").set_value([]).run()
    assert healthy(app).button(key="launch").disabled
    assert "no value" in said(app)


def test_points_that_make_no_sense_are_counted_before_anything_runs(workspace: Workspace) -> None:
    app = explore()
    app.multiselect(key="values.quantize.bits").set_value([4, "9"]).run()
    shared = len(app.multiselect(key="values.quantize").value)
    assert healthy(app).button(key="launch").label == f"Run {shared} points"
    assert "from 2 to 8" in said(app)
    assert workspace.jobs.open() == []


def test_a_sweep_fills_is_stopped_goes_on_and_is_deleted(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3,4"]))
    finish(workspace, worse=50.0)
    app = explore()
    assert "1 measured" in everything(app) and "2 waiting" in everything(app)
    app.button(key="stop_sweep").click().run()
    assert workspace.jobs.open() == [] and "2 stopped" in everything(healthy(app))
    app.button(key="resume_sweep").click().run()
    assert len(workspace.jobs.open()) == 2
    finish(workspace), finish(workspace)
    app = explore(sweep="1")
    assert "3 measured" in everything(app) and "Smallest within 5 %" in everything(app)
    app.button(key="delete_sweep").click().run()
    assert workspace.sweeps.all() == []
    healthy(app).button(key="undo_sweep").click().run()
    assert [row.id for row in workspace.sweeps.all()] == [1]


def test_a_chosen_point_shows_its_numbers_and_is_measured_in_full(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3"]))
    finish(workspace), finish(workspace)
    app = explore(sweep="1", point="1")
    assert "3 bit" in said(app) and "draft" in said(app)
    app.button(key="in_full").click().run()
    (job,) = workspace.jobs.open()
    assert job.stage == "final" and job.payload["recipe"]["steps"][0]["quantize_gptq"]["bits"] == 3
    finish(workspace)
    app = explore(sweep="1", point="1")
    assert "final" in said(app)
    app.button(key="add_to_compare").click().run()
    assert EN("explore.compare.chosen", count=1) in said(healthy(app))


def test_the_best_are_measured_in_full_at_once(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3,4"]))
    for worse in (2.0, 40.0, 2.0):
        finish(workspace, worse)
    explore().button(key="front_in_full").click().run()
    bits = [job.payload["recipe"]["steps"][0]["quantize_gptq"]["bits"] for job in workspace.jobs.open()]
    assert sorted(bits) == [2, 4] and {job.stage for job in workspace.jobs.open()} == {"final"}


def test_what_is_not_measured_yet_has_an_estimate_once_the_model_is_known(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3,4"]))
    finish(workspace)
    assert EN("label.estimate") not in said(explore(sweep="1", point="1"))
    save_table(workspace, QuantizeGptq)
    app = explore(sweep="1", point="1")
    assert EN("label.estimate") in said(app) and "3 bit" in said(app)
    told = workspace.estimate(GPTQ.with_value("quantize_gptq.bits", 3))
    assert told.predicted is not None
    assert formats.times(told.baseline_bytes / told.compressed_bytes) in said(app)
    assert "1 measured" in everything(app)  # an estimate is no measurement
    finish(workspace)
    assert EN("label.estimate") not in said(explore(sweep="1", point="1"))


def test_estimates_are_made_a_few_at_a_time_and_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    save_table(workspace, QuantizeGptq)
    number = workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3,4"]))
    asked: list[int] = []
    monkeypatch.setattr("compresslab_dashboard.explore.foreseen.time.monotonic", lambda: float(len(asked)))

    def slow(recipe: Recipe) -> Estimate:
        """Takes a second."""
        asked.append(recipe.steps[0].bits)  # type: ignore[attr-defined]
        return workspace.estimate(recipe)

    rows, kept = workspace.sweeps.points(number), foreseen.Foreseen(slow)
    for turn in (1, 2, 3):
        assert kept.lacks(rows, "table")
        assert len(kept.of(rows, "table", lambda place: workspace.sweeps.recipe(number, place))) == turn
    assert not kept.lacks(rows, "table") and sorted(asked) == [2, 3, 4]
    assert kept.lacks(rows, "another table")


def test_a_failed_point_says_why_and_nothing_becomes_markup(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3"]))
    row = workspace.store.claim("worker")
    assert row is not None
    workspace.store.finish(row.id, "failed", plain(f"Out of memory {EVIL} **bold**."))
    app = explore()
    captions = [caption.value for caption in app.caption if "Out of memory" in caption.value]
    assert captions and "\\<img" in captions[0] and "\\*\\*bold" in captions[0]


def test_all_runs_of_the_model_are_a_view_of_their_own(workspace: Workspace) -> None:
    workspace.store.save_run(record("alone00000", worse=1.0, share=0.25))
    app = explore(sweep="runs", point="alone00000")
    assert EN("explore.runs.count", count=1) in said(app) and "4.0× smaller" in everything(app)
    assert app.button(key="open_point").label == EN("history.open")
    assert param(app, "sweep") == "runs" and param(app, "point") == "alone00000"


@pytest.mark.parametrize(
    "params", [{"sweep": "99"}, {"sweep": "x"}, {"sweep": "1", "point": "77"}, {"quality": "magic"}]
)
def test_an_address_that_makes_no_sense_shows_what_there_is(workspace: Workspace, params: dict[str, str]) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3"]))
    assert "2 waiting" in everything(explore(**params))


def test_the_page_is_chinese_to_the_last_word(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3"]))
    finish(workspace)
    app = explore(lang="zh")
    assert "共 2 个点" in everything(app)
    assert not left_in_english(everything(app), words_of("zh"))


def test_what_is_looked_at_survives_the_address_bar() -> None:
    there = Exploring(source="3", point="7", quality="accuracy", cost="decode")
    back = Exploring()
    back.take(there.params())
    assert (back.source, back.point, back.quality, back.cost) == ("3", "7", "accuracy", "decode")
    back.take({"model": "storyteller"})
    assert back.source == "3"  # the back button may bring another page's address
    for number in range(MOST_COMPARED + 2):
        back.add_to_compare(f"run{number}")
    back.add_to_compare("run3")
    assert len(back.compare) == MOST_COMPARED and back.compare[-1] == "run3" and back.compare.count("run3") == 1


def test_how_long_it_takes_is_said_once_it_is_known(workspace: Workspace) -> None:
    assert EN("explore.plan.unknown") in said(explore())
    jobs.submit(workspace.store, RunJob(recipe=GPTQ.to_dict(), stage="draft"))
    finish(workspace)
    assert "about" in said(explore()) and EN("explore.plan.unknown") not in said(explore())
