"""Explore's charts without a browser: dots, the front, what is drawn of them, and what it says in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from compresslab.records.results import WeightReport
from compresslab.records.run_row import RunRow
from compresslab.workspace import Workspace
from compresslab_dashboard.charts.style import COMPRESSED, FURTHER, tint
from compresslab_dashboard.explore import charts, sentences
from compresslab_dashboard.explore.dots import Dot, front, known_measures, run_dots
from compresslab_dashboard.explore.parallel import parallel
from compresslab_dashboard.explore.pareto import FAINT, pareto
from compresslab_dashboard.explore.readings import MOST_KEPT, Reading, Readings, reading
from compresslab_dashboard.explore.scene import Scene, dot_text, number_text, told
from compresslab_dashboard.explore.table import points_table
from compresslab_dashboard.texts import LANGUAGES, words_of

from tests.explore_scenes import BITS, EVIL, GPTQ, METHOD, RATE, dot, grid, record

EN = words_of("en")
MOST_CHARACTERS_A_DOT = 600


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


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

    def fetch(run_ids: list[str]) -> list[RunRow]:
        asked.append(run_ids)
        return [RunRow.of(record(run_id)) for run_id in run_ids if run_id != "gone"]

    kept = Readings()
    assert set(kept.of(["a", "b"], fetch)) == {"a", "b"}
    assert set(kept.of(["b", "c", "gone"], fetch)) == {"b", "c"}
    assert asked == [["a", "b"], ["c", "gone"]]
    kept.of([f"{n}" for n in range(MOST_KEPT + 1)], fetch)
    assert len(kept._kept) == MOST_KEPT + 1  # what is on the screen, and nothing older


def test_a_reading_holds_what_charts_need() -> None:
    found = reading(RunRow.of(record("a", worse=4.0, share=0.25)))
    assert found.values["perplexity"] == pytest.approx((1.04, 0.005))
    assert found.values["size"] == (0.25, 0.0) and found.values["accuracy"] == (0.8, 0.02)
    assert found.values["decode"][0] == pytest.approx(1.5) and found.values["decode"][1] > 0
    assert found.simulated == {"decode"} and found.baseline["accuracy"] == 0.9
    assert known_measures(run_dots(["a"], {"a": found}), "quality") == ["perplexity", "accuracy"]


# -- charts --------------------------------------------------------------------------------------------------------


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


def test_beaten_points_are_faint_drafts_light_and_finals_solid() -> None:
    figure = pareto(grid(), EN)
    named = {name: (trace, place) for trace in figure.data for place, name in enumerate(trace.customdata or ())}
    assert set(named) == {"0", "1", "2"}
    assert {name: trace.marker.opacity for name, (trace, _) in named.items()} == {"0": 1, "1": FAINT, "2": 1}
    fills = {name: trace.marker.color[place] for name, (trace, place) in named.items()}
    assert fills == {"0": COMPRESSED, "1": tint(FURTHER[0], charts.LIGHT), "2": COMPRESSED}
    assert not any(symbol.endswith("-open") for trace, _ in named.values() for symbol in trace.marker.symbol)
    assert list(named["0"][0].error_y.array)[named["0"][1]] == 0.01
    assert figure.layout.uirevision == "grid"  # zoom stays while it fills


def test_what_is_not_measured_yet_is_an_outline_and_says_so() -> None:
    scene = with_estimate(grid())
    named = {name: trace for trace in pareto(scene, EN).data for name in trace.customdata or ()}
    assert set(named) == {"0", "1", "2", "3"} and named["3"].marker.symbol[0].endswith("-open")
    assert list(named["3"].error_y.array) == pytest.approx([0.02])
    assert EN("label.estimate") in named["3"].hovertext[0] and EN("label.estimate") not in named["0"].hovertext[0]
    (cells,) = charts.heat_map(scene, EN).data
    assert cells.text[1][1].startswith("<i>≈") and cells.z[1][1] < charts.UNKNOWN_PART  # no colour yet
    assert scene.front == grid().front and sentences.headline(scene, EN) == sentences.headline(grid(), EN)
    row = points_table(scene, EN).iloc[3]
    assert row[EN("explore.col.stage")] == EN("label.estimate") and row[EN("explore.axis.perplexity")] == 1.2


def test_an_estimate_gives_way_to_what_was_measured() -> None:
    dots = tuple(replace(one, reading=one.reading or with_estimate(grid()).dots[0].reading) for one in grid().dots)
    assert not replace(grid(), dots=dots).foreseen


def with_estimate(scene: Scene) -> Scene:
    """The last point, which is waiting, is expected to be 20 % worse at a third of the size."""
    *others, last = scene.dots
    expected = dot("", 0.33, 1.2, (0.0, 0.02), stage="estimate").reading
    return replace(scene, dots=(*others, replace(last, estimate=expected)))


def test_a_simulated_speed_is_struck_through_and_said() -> None:
    dots = tuple(run_dots(["a"], {"a": reading(RunRow.of(record("a")))}))
    (name,) = [
        trace.name for trace in pareto(Scene("s", (), dots, "perplexity", "decode"), EN).data if trace.showlegend
    ]
    assert name == EN("kernel.simulated")
    by_size = pareto(Scene("s", (), dots, "perplexity", "size"), EN)
    assert EN("kernel.simulated") not in [trace.name for trace in by_size.data if trace.showlegend]


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


@pytest.mark.parametrize("draw", [charts.heat_map, pareto, parallel])
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
    dots = run_dots(run_ids, Readings().of(run_ids, workspace.sweeps.rows))
    scene = Scene("runs", (), tuple(dots), "perplexity", "size")
    text = pareto(scene, EN).to_json()
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
    rounded = run_dots(["a"], {"a": reading(RunRow.of(record("a")))})[0]
    assert told(rounded, "decode", EN).endswith("(simulated)") and "simulated" not in told(rounded, "size", EN)
    assert dot_text(dot("a", 1, 1, at=(4, 0.5)), (BITS, RATE), EN) == "4 bit, Rate 50 %"


def test_the_table_says_all_that_the_charts_do() -> None:
    table = points_table(grid(), EN)
    assert list(table["Bit width"]) == ["3 bit", "3 bit", "4 bit", "4 bit"]
    assert list(table[EN("explore.col.state")]) == ["measured"] * 3 + ["waiting"]
    assert table[EN("explore.axis.perplexity")][0] == pytest.approx(1.3) and pd.isna(table[EN("explore.axis.size")][3])
    assert list(table[EN("explore.col.front")].notna()) == [True, False, True, False]
