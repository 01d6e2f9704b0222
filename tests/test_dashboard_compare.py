"""The Compare page without a browser: who is compared, what is called best, what is asked, how it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compresslab.data.texts import example_prompts
from compresslab.errors import BadInput
from compresslab.recipes.generation_request import GenerateRequest
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import PaneDone, PaneStarted, Token, to_json
from compresslab.records.results import Measurement, RunRecord
from compresslab.workspace import Workspace
from compresslab_dashboard.app_pages.compare import chip_colors
from compresslab_dashboard.charts.style import BASELINE as GREY
from compresslab_dashboard.charts.style import COMPRESSED, FURTHER
from compresslab_dashboard.compare.answers import differing_letters
from compresslab_dashboard.compare.blind import rounds_of
from compresslab_dashboard.compare.comparing import Comparing
from compresslab_dashboard.compare.measures import numbers_frame, rows_of, table_html
from compresslab_dashboard.compare.members import Member, baseline_name, members_of
from compresslab_dashboard.compare.prompt_set import MOST_PROMPTS, answers_frame, read_prompts, uploaded_prompts
from compresslab_dashboard.compare.recipes import difference
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.session.job_view import JobView, PaneText
from compresslab_dashboard.texts import words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy, param, record, said, visible
from tests.test_report import write_answers
from tests.tiny_models import write_checkpoint

EN = words_of("en")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def workspace(own_home: Any) -> Workspace:
    return Workspace()


def run(number: int, bits: int, measurements: list[Measurement] | None = None) -> RunRecord:
    recipe = Recipe.from_dict({"steps": [{"quantize_rtn": {"bits": bits}}]})
    fields: dict[str, Any] = {"compressed_hash": f"small{number:04d}"}
    fields |= {} if measurements is None else {"measurements": measurements}
    return record(number, recipe).model_copy(update=fields)


def kept(workspace: Workspace) -> list[RunRecord]:
    records = [run(1, 4), run(2, 3), run(3, 2)]
    for one in records:
        workspace.store.save_run(one)
    return records


def members(workspace: Workspace, *keys: str) -> list[Member]:
    return members_of(workspace, keys, workspace.runs.rows(), EN)[0]


def compare(**params: str) -> AppTest:
    app = AppTest.from_function(draw, default_timeout=PATIENCE)
    for name, value in params.items():
        app.query_params[name] = value
    return healthy(app.run())


def draw() -> None:
    import streamlit as st
    from compresslab_dashboard.app_pages import compare as page
    from compresslab_dashboard.app_pages import studio
    from compresslab_dashboard.session import state

    state.keep_pages({"studio": st.Page(studio.PAGE.show, url_path="studio")})
    page.PAGE.show()


# -- who ---------------------------------------------------------------------------------------------------------


def test_runs_and_baselines_stand_in_the_order_of_the_link_each_in_its_colour(workspace: Workspace) -> None:
    kept(workspace)
    found = members(workspace, "run0000002", "baseline:storyteller", "run0000001")
    assert [one.color for one in found] == [COMPRESSED, GREY, FURTHER[0]]
    assert [one.weights_hash for one in found] == ["small0002", "aaaa1111", "small0001"]
    assert [one.pane().source for one in found] == ["recipe", "baseline", "recipe"]  # no weights were saved


def test_a_run_that_is_gone_is_named_and_the_others_are_shown(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="run0000001,nothere,baseline:storyteller", view="numbers")
    assert "nothere" in said(app)
    assert "Perplexity" in visible(app)


def test_a_run_that_is_named_twice_stands_once(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="run0000001,run0000001")
    assert param(app, "runs") == "run0000001"
    assert EN("compare.few", most=6) in said(app)


def test_every_chip_has_the_colour_of_its_member(workspace: Workspace) -> None:
    kept(workspace)
    keys = ["baseline:storyteller", "nothere", "run0000002"]
    style = chip_colors(members(workspace, *keys), keys)
    assert f'[data-tag-index="0"] {{ --member: {GREY}; }}' in style
    assert f'[data-tag-index="2"] {{ --member: {COMPRESSED}; }}' in style and '"1"' not in style


def test_folders_of_one_name_are_kept_apart_in_a_file(workspace: Workspace) -> None:
    one = run(1, 4, perplexity(3.3, 0.5, 10, 0.1))
    shown = [Member(f"baseline:/{place}/tiny", baseline_name(f"/{place}/tiny", EN), GREY, "m", one) for place in "ab"]
    frame = numbers_frame(shown, rows_of(shown), EN)
    assert {"Baseline of tiny", "Baseline of tiny (2)"} <= set(frame.columns)


def test_models_that_write_nothing_are_compared_by_numbers_alone(workspace: Workspace, tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path / "classifier", "bert"))
    for number in (1, 2):
        workspace.store.save_run(run(number, 4).model_copy(update={"model": folder}))
    assert EN("texts.not_a_writer") in said(compare(runs="run0000001,run0000002"))
    assert "Perplexity" in visible(compare(runs="run0000001,run0000002", view="numbers"))


def test_the_url_brings_back_runs_and_view(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001", view="recipes")
    assert app.multiselect(key="compare_members").value == ["baseline:storyteller", "run0000001"]
    assert (param(app, "runs"), param(app, "view")) == ("baseline:storyteller,run0000001", "recipes")
    app.multiselect(key="compare_members").set_value(["run0000001", "run0000002"])
    healthy(app.run())
    assert param(app, "runs") == "run0000001,run0000002"


def test_an_empty_page_and_a_single_run_offer_the_next_step(workspace: Workspace) -> None:
    assert EN("compare.empty") in said(compare())
    kept(workspace)
    app = compare(runs="run0000001")
    app.button(key="compare_newest").click()
    healthy(app.run())
    assert param(app, "runs") == "baseline:storyteller,run0000003,run0000002,run0000001"


def test_six_at_the_most() -> None:
    comparing = Comparing()
    comparing.take({"runs": ",".join(f"run{i}" for i in range(9)), "view": "nonsense", "texts": "x1"})
    assert len(comparing.members) == 6
    assert (comparing.view, comparing.texts) == ("answers", None)


# -- numbers -----------------------------------------------------------------------------------------------------


def perplexity(value: float, error: float, change: float, change_error: float, dataset: str = "text") -> Any:
    common = {"metric": "perplexity", "unit": "", "direction": "lower", "dataset": dataset, "samples": 9}
    paired = {"change": change, "change_error": change_error, "change_unit": "%"}
    return [
        Measurement(variant="baseline", value=3.0, error=error, **common),
        Measurement(variant="compressed", value=value, error=error, **common, **paired),
    ]


def best_of(workspace: Workspace, first: Any, second: Any) -> int | None:
    for one in (run(1, 4, first), run(2, 3, second)):
        workspace.store.save_run(one)
    (row,) = rows_of(members(workspace, "run0000001", "run0000002"))
    return row.best


@pytest.mark.parametrize(
    ("errors", "best"),
    [((0.01, 0.01), 1), ((2.0, 2.0), None), ((0.0, 0.0), 1)],
    ids=["apart", "overlapping", "exact"],
)
def test_the_best_is_marked_only_where_the_error_bars_part(
    workspace: Workspace, errors: tuple[float, float], best: int | None
) -> None:
    # The unpaired errors of 0.5 overlap in every case: what decides is the change to the common baseline.
    first, second = perplexity(3.3, 0.5, 10, errors[0]), perplexity(3.2, 0.5, 7, errors[1])
    assert best_of(workspace, first, second) == best


def test_nothing_is_best_of_two_that_are_equal_or_not_measured_alike(workspace: Workspace) -> None:
    assert best_of(workspace, perplexity(3.2, 0, 7, 0), perplexity(3.2, 0, 7, 0)) is None
    assert best_of(workspace, perplexity(3.3, 0, 10, 0), perplexity(3.2, 0, 7, 0, "other")) is None


def test_the_baseline_is_the_best_where_compression_costs(workspace: Workspace) -> None:
    workspace.store.save_run(run(1, 4, perplexity(3.3, 0.5, 10, 0.1)))
    (row,) = rows_of(members(workspace, "baseline:storyteller", "run0000001"))
    assert row.best == 0


def test_names_in_the_table_are_text(workspace: Workspace) -> None:
    one = run(1, 4, perplexity(3.3, 0.5, 10, 0.1, HOSTILE))
    shown = [Member("run0000001", HOSTILE, COMPRESSED, "m", one), Member("baseline:m", "b", GREY, "m", one)]
    html = table_html(shown, rows_of(shown), EN)
    assert HOSTILE not in html and "&lt;img" in html


def test_a_file_of_the_numbers_holds_no_formula(workspace: Workspace) -> None:
    one = run(1, 4)
    shown = [Member("run0000001", "=1+1", COMPRESSED, "m", one)]
    assert b'"\'=1+1"' in csv_bytes(numbers_frame(shown, rows_of(shown), EN))


# -- recipes -----------------------------------------------------------------------------------------------------


def test_the_recipes_differ_in_what_differs(workspace: Workspace) -> None:
    kept(workspace)
    shown = members(workspace, "run0000001", "run0000002")
    found = difference(shown, EN)
    assert found.iloc[:, 0].tolist() == ["Step 1 · bits"]
    assert found.iloc[0, 1:].tolist() == ["4", "3"]
    with_baseline = members(workspace, "baseline:storyteller", "run0000001", "run0000002")
    assert difference(with_baseline, EN).iloc[0, 1:].tolist() == ["–", "4", "3"]
    assert len(difference(with_baseline, EN)) == 1
    alone = difference(with_baseline[:2], EN).iloc[:, 0]
    assert "Step 1 · bits" in set(alone) and all(path.startswith("Step 1") for path in alone)
    whole = difference(shown, EN, everything=True)
    assert {"model", "seed", "evaluation.max_tokens"} <= set(whole.iloc[:, 0])


def test_two_methods_are_held_against_each_other_setting_by_setting(workspace: Workspace) -> None:
    one = run(1, 4)
    other = record(2, Recipe.from_dict({"steps": [{"quantize_gptq": {"bits": 4}}, "prune_wanda"]}))
    for each in (one, other):
        workspace.store.save_run(each)
    found = difference(members(workspace, "run0000001", "run0000002"), EN)
    rows = {row[0]: tuple(row[1:]) for row in found.itertuples(index=False)}
    assert rows["Step 1"] == ("quantize_rtn", "quantize_gptq")
    assert "Step 1 · bits" not in rows  # both have 4
    assert rows["Step 1 · dampening"][0] == "–"  # which only one of them has
    assert rows["Step 2 · sparsity"] == ("–", "0.3")
    assert next(iter(rows)) == "Step 1"


# -- answers -----------------------------------------------------------------------------------------------------


def test_everyone_is_asked_the_same_in_the_order_shown(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001,run0000003")
    app.text_area(key="compare_prompt").set_value("Once there was")
    app.button(key="compare_generate").click()
    healthy(app.run())
    (job,) = workspace.jobs.open()
    request = GenerateRequest.model_validate(job.payload["request"])
    assert request.prompts == ("Once there was",)
    assert [pane.source for pane in request.panes] == ["baseline", "recipe", "recipe"]
    assert param(app, "texts") == str(job.id)


def test_an_empty_prompt_is_refused(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001")
    app.text_area(key="compare_prompt").set_value("  ")
    app.button(key="compare_generate").click()
    healthy(app.run())
    assert EN("texts.empty_prompt") in said(app)
    assert not workspace.jobs.open()


def test_words_that_differ_are_found_by_their_letters() -> None:
    assert differing_letters(pane(" a red kite"), pane(" a blue kite")) == ((3, 7),)
    assert differing_letters(pane(" a red kite"), pane(" a red kite")) == ()
    assert differing_letters(pane(" a red kite"), PaneText(tokens=[(1, " a")])) == ()  # it is not whole yet


def pane(text: str) -> PaneText:
    return PaneText(tokens=[(0, text)], done=PaneDone(pane=0, text=text, tokens=1, ttft_seconds=0.1))


def test_a_view_keeps_when_and_how_likely_every_word_was() -> None:
    token = Token(
        pane=0, index=0, token_id=7, text=" red", seconds=0.5, probability=0.25, alternatives=((" blue", 0.5),)
    )
    view = JobView()
    view.feed([(1, token)])
    assert view.panes[0].moments == [(0.5, 0.25, ((" blue", 0.5),))]


# -- prompt sets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["one\n\ntwo\n", "one\r\ntwo\r\n", '{"prompt": "one"}\n{"prompt": "two"}', '["one", {"prompt": "two"}]'],
    ids=["lines", "lines of Windows", "jsonl", "list"],
)
def test_prompts_are_read_as_lines_jsonl_and_lists(text: str) -> None:
    assert read_prompts(text) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no prompt in it"),
        ('one\n{"prompt": }', "Line 2 is not valid JSON"),
        ('{"text": "one"}', "Line 1 has no prompt"),
        ('["one", 2]', "Entry 2 has no prompt"),
        ('["one"', "Line 1 is not valid JSON"),
        ('["one",\n]', "Line 2 is not valid JSON"),
        ("[" * 2000, "nested too deeply"),
        ('one\n{"prompt": ' + 5000 * "1" + "}", "Line 2 .* too many digits"),
        ("a\x00b", "binary"),
        ("x" * 9000, "characters"),
        ("one\n" * (MOST_PROMPTS + 1), "up to 200"),
    ],
)
def test_a_bad_set_is_refused_by_line(text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        read_prompts(text)


def test_a_file_that_is_no_text_is_refused() -> None:
    assert uploaded_prompts("\ufeffÄ\r\nÖ".encode(), "a.txt") == ["Ä", "Ö"]
    with pytest.raises(BadInput, match=r"b\.txt is not UTF-8"):
        uploaded_prompts(b"\xff\xfe\x00", "b.txt")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(sign: str) -> None:
    assert read_prompts(f'{{"prompt": "one{sign}two"}}\nthree{sign}four') == [f"one{sign}two", f"three{sign}four"]


def batched(workspace: Workspace, app: AppTest) -> int:
    """The bundled set, answered: the first member always "=A1", the second "=A1" but once."""
    app.button(key="compare_set_go").click()
    healthy(app.run())
    (job,) = workspace.jobs.open()
    assert workspace.store.claim("w") is not None
    request = GenerateRequest.model_validate(job.payload["request"])
    events: list[str] = []
    for place in range(2 * len(request.prompts)):
        text = "other" if place == 1 else "=A1"
        weights = "small0001" if place % 2 else "aaaa1111"
        events.append(to_json(PaneStarted(pane=place, label="x", weights_hash=weights)))
        events.append(to_json(PaneDone(pane=place, text=text, tokens=1, ttft_seconds=0.1)))
    workspace.store.append_events(job.id, events)
    workspace.store.finish(job.id, "done")
    return job.id


def test_a_prompt_set_becomes_one_job_and_a_table(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001", view="prompts")
    number = batched(workspace, app)
    job = workspace.jobs.find(number)
    assert not job.live  # it is kept, and no later prompt takes its place
    request = GenerateRequest.model_validate(job.payload["request"])
    assert list(request.prompts) == [given["prompt"] for given in example_prompts()]
    healthy(app.run())
    asked = len(request.prompts)
    assert f"{asked - 1} of {asked} answers letter by letter" in said(app)
    view = JobView()
    view.feed(workspace.jobs.events(number))
    frame = answers_frame(request, view, EN)
    assert frame.iloc[:2, -1].tolist() == [2, 1]
    view.panes.pop(1)
    assert answers_frame(request, view, EN).iloc[0, 1:].fillna("").tolist() == ["=A1", "", ""]  # not everyone is done
    assert b'"\'=A1"' in csv_bytes(frame) and b'"=A1"' not in csv_bytes(frame)


# -- the blind test ----------------------------------------------------------------------------------------------


def test_answers_of_a_set_are_judged_without_names_and_counted(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001", view="prompts")
    batched(workspace, app)
    app = compare(runs="baseline:storyteller,run0000001", view="blind")
    names = [one.name for one in members(workspace, "baseline:storyteller", "run0000001")]
    pair = next(html for html in bodies(app) if 'class="blind"' in html)
    assert not any(name in pair for name in names)  # the one prompt that was answered differently
    app.button(key="compare_vote_A").click()
    healthy(app.run())
    pair = next(html for html in bodies(app) if 'class="blind"' in html)
    assert all(name in pair for name in names)
    tally = workspace.votes.tally("aaaa1111", "small0001")
    shown_first = pair.index(names[0]) < pair.index(names[1])
    assert (tally.first, tally.second) == ((1, 0) if shown_first else (0, 1))


def bodies(app: AppTest) -> list[str]:
    return [str(element.proto.body) for element in app.get("html")]


def test_pairs_are_different_answers_of_different_weights_decoded_alike(workspace: Workspace) -> None:
    kept(workspace)
    shown = members(workspace, "baseline:storyteller", "run0000001", "run0000002")
    write_answers(workspace, "One day", {"aaaa1111": "x", "small0001": "y", "small0002": "y"})
    recorded = workspace.texts.recorded([one.weights_hash for one in shown])
    rounds = rounds_of(shown, recorded, "me")
    assert {(one.first.key, one.second.key) for one in rounds} == {
        ("baseline:storyteller", "run0000001"),
        ("baseline:storyteller", "run0000002"),
    }


def test_without_answers_the_blind_test_leads_to_the_prompt_set(workspace: Workspace) -> None:
    kept(workspace)
    app = compare(runs="baseline:storyteller,run0000001", view="blind")
    app.button(key="compare_to_prompts").click()
    healthy(app.run())
    assert param(app, "view") == "prompts"
