"""Explore without a browser: what can be chosen, what is launched, what the charts and sentences say."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.jobs import RunJob
from core.recipe import Recipe
from core.results import Measurement, RunRecord, WeightReport
from core.sweep import Sweep, Value
from core.workspace import Workspace
from dashboard.explore import charts, sentences
from dashboard.explore.axes import choices, first_axes, scene_axis, typed, value_text
from dashboard.explore.dots import Dot, front, known_measures, run_dots
from dashboard.explore.exploring import MOST_COMPARED, Exploring
from dashboard.explore.parallel import parallel
from dashboard.explore.readings import MOST_KEPT, Reading, Readings, reading
from dashboard.explore.scene import Scene, SceneAxis, dot_text, number_text, told
from dashboard.explore.table import points_table
from dashboard.texts import LANGUAGES, words_of
from tests.fake_session import HARDWARE
from tests.test_dashboard_pages import healthy, param, said, visible

EN = words_of("en")
GPTQ = Recipe.from_dict({"steps": ["quantize_gptq"]})
BOTH = Recipe.from_dict({"steps": ["prune_wanda", "quantize_gptq"]})
EVIL = "<img src=x onerror=alert(1)>"
MOST_CHARACTERS_A_DOT = 600


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


def measured(metric: str, baseline: float, compressed: float, unit: str = "", **more: Any) -> list[Measurement]:
    paired = {"change": 100 * (compressed / baseline - 1) if baseline else 0.0, "change_unit": "%"} | more
    return [
        Measurement(metric=metric, variant="baseline", value=baseline, unit=unit),
        Measurement(metric=metric, variant="compressed", value=compressed, unit=unit, **paired),
    ]


def record(
    run_id: str, recipe: Recipe = GPTQ, *, stage: str = "final", worse: float = 2.0, share: float = 0.3
) -> RunRecord:
    """`worse` percent of perplexity, `share` of the baseline's bytes."""
    return RunRecord(
        run_id=run_id,
        recipe=recipe.to_dict(),
        recipe_hash=recipe.content_hash,
        model=recipe.model,
        stage=stage,  # type: ignore[arg-type]
        created="2026-11-21T08:00:00+00:00",
        seconds=1.0,
        stages={},
        baseline_hash="a",
        compressed_hash="b",
        hardware=HARDWARE,
        measurements=[
            *measured("perplexity", 3.0, 3.0 * (1 + worse / 100), change_error=0.5),
            *measured("accuracy", 0.9, 0.8, "fraction", error=0.02),
            *measured("size_on_disk_bytes", 8e6, share * 8e6, "bytes"),
            *measured("decode_tokens_per_second", 100.0, 150.0, "tokens/s", error=5.0, kernel="simulated"),
        ],
    )


def dot(name: str, cost: float, quality: float, errors: tuple[float, float] = (0.0, 0.0), **more: Any) -> Dot:
    values = {"size": (cost, errors[0]), "perplexity": (quality, errors[1])}
    stage = more.pop("stage", "final")
    at: tuple[Value, ...] = more.pop("at", ())
    baseline = {"size": 1.0, "perplexity": 1.0}
    return Dot(name, at, "done", Reading(name, stage, {"steps": []}, values, baseline, simulated=frozenset()))


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
    from core.registry import METHODS

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


# -- dots and the front --------------------------------------------------------------------------------------------


def test_a_point_that_another_beats_is_not_on_the_front() -> None:
    dots = [dot("small", 0.2, 1.5), dot("good", 0.5, 1.01), dot("beaten", 0.5, 1.2), dot("worst", 0.9, 2.0)]
    assert front(dots, "size", "perplexity") == {"small", "good"}


def test_points_within_each_others_error_stay_side_by_side() -> None:
    a, b = dot("a", 0.5, 1.010, (0.0, 0.01)), dot("b", 0.5, 1.012, (0.0, 0.01))
    assert front([a, b], "size", "perplexity") == {"a", "b"}
    clearly = dot("c", 0.5, 1.1, (0.0, 0.01))
    assert front([a, clearly], "size", "perplexity") == {"a"}
    assert front([], "size", "perplexity") == set()


def test_more_is_better_where_the_measure_says_so() -> None:
    def fast(name: str, speed: float) -> Dot:
        values = {"decode": (speed, 0.01), "accuracy": (0.9, 0.0)}
        return Dot(name, (), "done", Reading(name, "final", {}, values, {}, simulated=frozenset()))

    assert front([fast("slow", 1.0), fast("fast", 2.0)], "decode", "accuracy") == {"fast"}


def test_a_run_is_read_once() -> None:
    asked: list[list[str]] = []

    def fetch(run_ids: list[str]) -> list[RunRecord]:
        asked.append(run_ids)
        return [record(run_id) for run_id in run_ids if run_id != "gone"]

    kept = Readings()
    assert set(kept.of(["a", "b"], fetch)) == {"a", "b"}
    assert set(kept.of(["b", "c", "gone"], fetch)) == {"b", "c"}
    assert asked == [["a", "b"], ["c", "gone"]]
    kept.of([f"{n}" for n in range(MOST_KEPT + 1)], fetch)
    assert len(kept._kept) == MOST_KEPT + 1  # what is on the screen, and nothing older


def test_a_reading_holds_what_charts_need() -> None:
    found = reading(record("a", worse=4.0, share=0.25))
    assert found.values["perplexity"] == pytest.approx((1.04, 0.005))
    assert found.values["size"] == (0.25, 0.0) and found.values["accuracy"] == (0.8, 0.02)
    assert found.values["decode"][0] == pytest.approx(1.5) and found.values["decode"][1] > 0
    assert found.simulated == {"decode"} and found.baseline["accuracy"] == 0.9
    assert known_measures(run_dots(["a"], {"a": found}), "quality") == ["perplexity", "accuracy"]


# -- charts --------------------------------------------------------------------------------------------------------

BITS = SceneAxis("Bit width", (3, 4), ("3 bit", "4 bit"), speaks=True)
RATE = SceneAxis("Rate", (0.1, 0.5), ("10 %", "50 %"))
METHOD = SceneAxis("Method", ("a", "b"), (EVIL, "B"), speaks=True, of_methods=True)


def grid(axes: tuple[SceneAxis, ...] = (BITS, METHOD), picked: str | None = None) -> Scene:
    """Coarser in bits is smaller and worse; the last point has nothing to show yet."""
    dots = []
    for bits in axes[0].values:
        for other in axes[1].values:
            number = len(dots)
            stage = "draft" if number == 1 else "final"
            dots.append(
                dot(
                    f"{number}",
                    0.1 * int(bits),
                    1 + 0.3 * (4 - int(bits)) + 0.1 * number,
                    (0, 0.01),
                    at=(bits, other),
                    stage=stage,
                )
            )
    waiting = Dot("3", (axes[0].values[1], axes[1].values[1]), "queued", None)
    return Scene("grid", axes, (*dots[:3], waiting), "perplexity", "size", picked)


def test_the_heat_map_has_a_cell_for_every_point() -> None:
    figure = charts.heat_map(grid(picked="2"), EN)
    (cells,) = figure.data
    assert list(cells.x) == ["3 bit", "4 bit"]
    assert EVIL not in figure.to_json() and "&lt;img" in figure.to_json()
    assert [list(row) for row in cells.customdata] == [["0", "2"], ["1", "3"]]
    texts = [list(row) for row in cells.text]
    assert texts[0][0].startswith("<b>+") and not texts[1][0].startswith("<b>")  # a final number is bold, a draft not
    assert texts[1][1] == charts.SIGNS["queued"]
    depth = cells.z
    assert depth[1][1] < charts.UNKNOWN_PART <= min(depth[0][0], depth[0][1], depth[1][0]) and max(map(max, depth)) == 1
    assert len(figure.layout.shapes) == 1


def test_a_third_setting_stands_side_by_side() -> None:
    dots = tuple(dot(f"{b}{m}{r}", 0.1 * b, 1.2, at=(b, m, r)) for b in (3, 4) for m in ("a", "b") for r in (0.1, 0.5))
    scene = Scene("three", (BITS, METHOD, RATE), dots, "perplexity", "size", "4b0.5")
    figure = charts.heat_map(scene, EN)
    assert len(figure.data) == 2 and len(figure.layout.shapes) == 1
    assert [list(row) for row in figure.data[1].customdata] == [["3a0.5", "4a0.5"], ["3b0.5", "4b0.5"]]
    assert [note.text for note in figure.layout.annotations] == ["Rate 10 %", "Rate 50 %"]


def test_beaten_points_are_faint_and_drafts_are_rings() -> None:
    figure = charts.pareto(grid(), EN)
    named = {name: (trace, place) for trace in figure.data for place, name in enumerate(trace.customdata or ())}
    assert set(named) == {"0", "1", "2"}
    assert {name: trace.marker.opacity for name, (trace, _) in named.items()} == {"0": 1, "1": charts.FAINT, "2": 1}
    assert named["1"][0].marker.symbol[named["1"][1]].endswith("-open")
    assert not named["0"][0].marker.symbol[named["0"][1]].endswith("-open")
    assert list(named["0"][0].error_y.array)[named["0"][1]] == 0.01
    assert figure.layout.uirevision == "grid"  # zoom stays while it fills


def test_one_setting_is_a_curve() -> None:
    dots = (dot("0", 0.4, 1.1, at=(4,)), dot("1", 0.3, 1.4, at=(3,)))
    figure = charts.curve(Scene("one", (BITS,), dots, "perplexity", "size"), EN)
    assert list(figure.data[0].x) == ["3 bit", "4 bit"] and list(figure.data[0].customdata) == ["1", "0"]


def test_every_measured_point_is_a_line_through_all_axes() -> None:
    figure = parallel(grid(picked="0"), EN)
    beaten, best, picked = figure.data
    assert list(dict.fromkeys(best.customdata)) == ["0", "2"]
    assert list(dict.fromkeys(beaten.customdata)) == ["1"] and set(picked.customdata) == {"0"}
    assert list(best.x) == [0, 1, 2, 3, None] * 2
    worse, better = best.y[2], best.y[7]  # where "0" and "2" cross the axis of quality
    assert better > worse


@pytest.mark.parametrize("draw", [charts.heat_map, charts.pareto, parallel])
def test_an_empty_scene_can_be_drawn(draw: Any) -> None:
    dots = tuple(
        Dot(str(n), (b, m), "queued", None) for n, (b, m) in enumerate([(3, "a"), (4, "a"), (3, "b"), (4, "b")])
    )
    draw(Scene("empty", (BITS, METHOD), dots, "perplexity", "size"), EN)


def test_a_thousand_runs_are_one_light_chart(workspace: Workspace) -> None:
    weights = [WeightReport(name=f"model.layers.{n}.mlp.up_proj.weight", shape=(512, 192), bits=4) for n in range(56)]
    for number in range(1000):
        made = record(f"run{number:07d}", GPTQ.replace(seed=number), worse=number % 97, share=0.1 + number / 1500)
        workspace.store.save_run(made.model_copy(update={"weights": weights}))
    run_ids = workspace.sweeps.runs_of("storyteller")
    dots = run_dots(run_ids, Readings().of(run_ids, workspace.sweeps.numbers))
    scene = Scene("runs", (), tuple(dots), "perplexity", "size")
    text = charts.pareto(scene, EN).to_json()
    sentences.describe_front(scene, EN)
    assert len(dots) == 1000
    assert 10_000 < len(text) < 1000 * MOST_CHARACTERS_A_DOT  # the page's time is in benchmarks/dashboard.py


# -- words ---------------------------------------------------------------------------------------------------------


def test_the_sentence_names_the_smallest_that_is_still_good() -> None:
    dots = (dot("a", 0.2, 1.5, at=(3, "a")), dot("b", 0.5, 1.02, at=(4, "a")), dot("c", 0.6, 1.01, at=(4, "b")))
    scene = Scene("s", (BITS, METHOD), dots, "perplexity", "size")
    told = sentences.headline(scene, EN)
    assert "4 bit" in told and "2.0×" in told and "+2" in told
    assert told.startswith("Smallest within 5 %")
    bad = Scene("s", (BITS, METHOD), dots[:1], "perplexity", "size")
    assert sentences.headline(bad, EN).startswith("Nothing stays within")
    assert sentences.headline(Scene("s", (BITS,), (), "perplexity", "size"), EN) == EN("explore.nothing_measured")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_says_what_it_shows(language: str) -> None:
    words = words_of(language)
    for describe in (sentences.describe_quality, sentences.describe_front, sentences.describe_parallel):
        text = describe(grid(), words)
        assert len(text) > 10 and "{" not in text
    assert "3" in sentences.describe_quality(grid(), words)
    for cost in ("size", "decode", "prefill", "memory"):
        assert words(f"explore.best.{cost}", limit="l", point="p", cost="c", quality="q")


def test_numbers_as_people_read_them() -> None:
    assert number_text("perplexity", (1.042, 0.003), EN) == "+4.2 ± 0.3\u202f%"
    assert number_text("perplexity", (120.0, 3.0), EN) == "120×"
    assert number_text("size", (0.25, 0.0), EN) == "4.0×"
    assert number_text("decode", (1.5, 0.1), EN) == "1.50 ± 0.10×"
    assert number_text("accuracy", None, EN) == "–"
    rounded = run_dots(["a"], {"a": reading(record("a"))})[0]
    assert told(rounded, "decode", EN).endswith("(simulated)") and "simulated" not in told(rounded, "size", EN)
    assert dot_text(dot("a", 1, 1, at=(4, 0.5)), (BITS, RATE), EN) == "4 bit, Rate 50 %"


def test_the_table_says_all_that_the_charts_do() -> None:
    table = points_table(grid(), EN)
    assert list(table["Bit width"]) == ["3 bit", "3 bit", "4 bit", "4 bit"]
    assert list(table[EN("explore.col.state")]) == ["measured"] * 3 + ["waiting"]
    assert table[EN("explore.axis.perplexity")][0] == pytest.approx(1.3) and pd.isna(table[EN("explore.axis.size")][3])
    assert list(table[EN("explore.col.front")].notna()) == [True, False, True, False]


# -- the page ------------------------------------------------------------------------------------------------------


def draw_explore() -> None:
    from dashboard.app_pages import explore

    explore.page()


def explore(**params: str) -> AppTest:
    app = AppTest.from_function(draw_explore, default_timeout=60)
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
    assert len(workspace.jobs()) == count and {job.stage for job in workspace.jobs()} == {"draft"}
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
    steps = [job.payload["recipe"]["steps"][0]["quantize_gptq"] for job in workspace.jobs()]
    assert sorted((step["bits"], step["group_size"]) for step in steps) == [(3, 32), (8, 32)]
    assert {job.stage for job in workspace.jobs()} == {"final"}


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
    assert workspace.jobs() == []


def test_a_sweep_fills_is_stopped_goes_on_and_is_deleted(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3,4"]))
    finish(workspace, worse=50.0)
    app = explore()
    assert "1 measured" in everything(app) and "2 waiting" in everything(app)
    app.button(key="stop_sweep").click().run()
    assert workspace.jobs() == [] and "2 stopped" in everything(healthy(app))
    app.button(key="resume_sweep").click().run()
    assert len(workspace.jobs()) == 2
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
    (job,) = workspace.jobs()
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
    bits = [job.payload["recipe"]["steps"][0]["quantize_gptq"]["bits"] for job in workspace.jobs()]
    assert sorted(bits) == [2, 4] and {job.stage for job in workspace.jobs()} == {"final"}


def test_a_failed_point_says_why_and_nothing_becomes_markup(workspace: Workspace) -> None:
    workspace.sweeps.submit(Sweep.over(GPTQ, ["quantize.bits=2,3"]))
    row = workspace.store.claim("worker")
    assert row is not None
    workspace.store.finish(row.id, "failed", f"Out of memory {EVIL} **bold**.")
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
    left = [
        text for key, text in EN.texts.items() if key.startswith("explore.") and " " in text and text in everything(app)
    ]
    assert not left


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
