"""The Present page without a browser: which sizes it shows, what it says of them, what it asks for, how it refuses."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
from compresslab.data.texts import example_prompts
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import Measurement, RunRecord
from compresslab.records.run_row import RunRow
from compresslab.store.votes import Tally
from compresslab.workspace import Workspace
from compresslab_dashboard.present import guess, ladder
from compresslab_dashboard.present.plain import plain, size_name, untouched
from compresslab_dashboard.present.prepared import prepare
from compresslab_dashboard.present.sizes import MOST_SIZES, models_with_sizes, sizes_of
from compresslab_dashboard.present.tour import STEPS
from compresslab_dashboard.present.view import BASELINE, Showing
from compresslab_dashboard.texts import words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy, measured, param, record, said
from tests.test_report import write_answers

EN = words_of("en")
PROMPTS = [given["prompt"] for given in example_prompts()]
MACHINERY = re.compile(
    r"\b(job|worker|child|queue|perplexity|token|weights?|quanti|sparsity|recipe|baseline|run)\w*", re.I
)
MASCHINE = re.compile("任务|进程|队列|困惑度|词元|权重|量化|稀疏|配方|基线|运行")


@pytest.fixture
def workspace(own_home: Any) -> Workspace:
    return Workspace()


def sized(number: int, share: float, worse: float, *, flipped: float = 0.0, **more: Any) -> RunRecord:
    """A finished run: this share of 8 MB, this many percent of perplexity, this share of answers changed."""
    changed = Measurement(metric="flipped_answers", variant="compressed", value=flipped, unit="fraction", samples=400)
    found = [
        *measured("perplexity", 3.0, 3.0 * (1 + worse / 100), dataset="bundled stories"),
        *measured("size_on_disk_bytes", 8e6, 8e6 * share, "bytes"),
        *measured("decode_tokens_per_second", 100.0, 100.0, "tokens/s", kernel="simulated", error=1.0),
        changed,
    ]
    fields = {"measurements": found, "compressed_hash": f"small{number:04d}", "recipe_hash": f"hash{number:08d}"}
    return record(number).model_copy(update=fields | more)


def three(workspace: Workspace) -> list[RunRecord]:
    """A half hardly worse, a quarter a little, a tenth badly."""
    records = [sized(0, 0.5, 0.1), sized(1, 0.25, 3.0, flipped=0.01), sized(2, 0.1, 400.0, flipped=0.2)]
    for one in records:
        workspace.store.save_run(one)
    return records


def answered(workspace: Workspace) -> list[RunRecord]:
    """Three sizes with every prepared answer: the small ones say something else."""
    records = three(workspace)
    for prompt in PROMPTS:
        texts = {one.compressed_hash: f"a tale of {one.compressed_hash}" for one in records}
        write_answers(workspace, prompt, {records[0].baseline_hash: "a tale of old"} | texts)
    return records


def present(**params: str) -> AppTest:
    app = AppTest.from_function(draw, default_timeout=PATIENCE)
    for name, value in params.items():
        app.query_params[name] = value
    return healthy(app.run())


def draw() -> None:
    from compresslab_dashboard.app_pages import present

    present.PAGE.show()


def on_stage(app: AppTest) -> dict[str, Any]:
    """What the component was given to draw."""
    (component,) = [part for part in app.get("bidi_component") if "stops" in part.proto.json]
    return dict(json.loads(component.proto.json))


def with_worker(workspace: Workspace) -> None:
    workspace.store.beat("w", host="here", pid=1, device="cpu", state="idle")


# -- which sizes ---------------------------------------------------------------------------------------------------


def rows(runs: Iterable[RunRecord]) -> list[RunRow]:
    return [RunRow.of(run) for run in runs]


def test_a_run_that_another_beats_in_both_is_left_out() -> None:
    runs = [sized(0, 0.5, 1.0), sized(1, 0.4, 0.5), sized(2, 0.2, 9.0), sized(3, 0.2, 9.0), sized(4, 0.3, 9.5)]
    assert [size.run.run_id for size in sizes_of(rows(runs), "storyteller")] == ["run0000001", "run0000002"]


def test_what_is_no_smaller_or_was_not_measured_is_left_out() -> None:
    bare = sized(0, 0.3, 1.0).model_copy(update={"measurements": measured("accuracy", 0.9, 0.8, "fraction")})
    draft = sized(1, 0.3, 1.0).model_copy(update={"stage": "draft"})
    other = sized(2, 0.3, 1.0).model_copy(update={"model": "another"})
    assert sizes_of(rows([bare, draft, other, sized(3, 0.99, 0.0)]), "storyteller") == []
    assert models_with_sizes(rows([bare, other])) == ["another"]


def test_many_are_thinned_and_both_ends_stay() -> None:
    runs = [sized(n, 0.9 - 0.04 * n, float(n)) for n in range(20)]
    shown = sizes_of(rows(runs), "storyteller")
    assert len(shown) == MOST_SIZES
    assert (shown[0].run.run_id, shown[-1].run.run_id) == ("run0000000", "run0000019")
    shares = [size.share for size in shown]
    assert shares == sorted(shares, reverse=True)


def test_four_times_the_runs_take_no_more_than_about_four_times_as_long(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1000):
        workspace.store.save_run(sized(n, 0.9 - 0.0008 * n, 0.1 * n))

    def seconds(runs: int) -> float:
        """Of the processor, the best of three: other work on the machine makes all of them slower alike."""
        monkeypatch.setattr("compresslab_dashboard.present.prepared.MOST_RUNS", runs)
        found = []
        for _ in range(3):
            start = time.process_time()
            prepared = prepare(workspace, Showing(), EN)
            found.append(time.process_time() - start)
            assert len(prepared.sizes) == MOST_SIZES
        return min(found)

    assert seconds(1000) < 8 * seconds(250)  # sixteen times as long if every run were held against every other


# -- what it says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "name"),
    [
        (0.5, "half the size"),
        (0.53, "about half the size"),
        (0.335, "a third of the size"),
        (0.26, "about a quarter of the size"),
        (0.1, "a tenth of the size"),
        (0.7, "70 % of the size"),
        (0.03, "3 % of the size"),
    ],
)
def test_a_size_has_a_name(share: float, name: str) -> None:
    assert size_name(share, EN) == name


@pytest.mark.parametrize(("flipped", "same"), [(0.0, 100), (0.0025, 99), (0.04, 96), (0.999, 0), (1.0, 0)])
def test_all_answers_are_the_same_only_where_none_changed(flipped: float, same: int) -> None:
    told = plain(sized(0, 0.25, 1.0, flipped=flipped), 0.25, EN)
    assert told.same == same
    assert ("all 400" in told.answers) == (same == 100)
    assert told.size == "A quarter of the size: 2.00\u202fMB instead of 8.00\u202fMB."


def test_without_questions_the_text_speaks() -> None:
    found = measured("perplexity", 3.0, 3.3)
    told = plain(record().model_copy(update={"measurements": found}), 0.25, EN)
    assert "10 %" in told.answers and told.same is None
    assert told.speed == EN("present.speed.unknown") and told.pace is None


@pytest.mark.parametrize(
    ("now", "error", "kernel", "key"),
    [
        (200.0, 1.0, "real", "present.speed.faster"),
        (50.0, 1.0, "real", "present.speed.slower"),
        (100.5, 1.0, "real", "present.speed.same"),
        (140.0, 40.0, "real", "present.speed.unclear"),
        (100.5, 1.0, "simulated", "present.speed.imitated"),
    ],
)
def test_nothing_is_called_faster_that_was_not(now: float, error: float, kernel: str, key: str) -> None:
    found = measured("decode_tokens_per_second", 100.0, now, "tokens/s", kernel=kernel, error=error)
    told = plain(record().model_copy(update={"measurements": found}), 0.25, EN)
    assert told.speed == EN(key, times="2.0") if "{" in EN(key) else told.speed == EN(key)


def test_faster_with_imitated_numbers_says_both() -> None:
    found = measured("decode_tokens_per_second", 100.0, 200.0, "tokens/s", kernel="simulated", error=1.0)
    told = plain(record().model_copy(update={"measurements": found}), 0.25, EN)
    assert told.imitated and EN("present.speed.though", said=EN("present.speed.faster", times="2.0")) == told.speed


def test_the_baseline_is_the_first_stop() -> None:
    told = untouched(sized(0, 0.25, 1.0), EN)
    assert (told.share, told.same, told.pace) == (1.0, 100, 1.0)


def test_no_word_of_machinery() -> None:
    """The two sentences that say how to start it anew name the command; nothing else does."""
    for language, unwanted in (("en", MACHINERY), ("zh", MASCHINE)):
        shown = words_of(language).catalogue.templates
        mine = {key: form for key, forms in shown.items() if key.startswith("present.") for form in forms}
        assert not {key: found.group() for key, text in mine.items() if (found := unwanted.search(text))}


# -- the stage -----------------------------------------------------------------------------------------------------


def test_the_stage_has_every_size_and_answer(workspace: Workspace) -> None:
    answered(workspace)
    shown = on_stage(present())
    assert [round(100 * stop["share"]) for stop in shown["stops"]] == [100, 50, 25, 10]
    assert len(shown["prompts"]) == len(PROMPTS)
    assert shown["prompts"][0]["texts"][0] == [["a tale of old", False]]
    assert shown["prompts"][0]["texts"][3] == [["a tale of", False], [" ", False], ["small0002", True]]
    assert shown["stop"] == 2  # the smallest that is hardly worse


def test_without_anyone_to_compute_it_shows_what_was_recorded_and_says_so(workspace: Workspace) -> None:
    answered(workspace)
    app = present()
    assert EN("present.alone") in said(app)
    assert len(on_stage(app)["prompts"]) == len(PROMPTS)
    with_worker(workspace)
    assert EN("present.alone") not in said(healthy(app.run()))


def test_an_answer_decoded_otherwise_does_not_stand_beside_the_others(workspace: Workspace) -> None:
    records = three(workspace)
    request = ladder.GenerateRequest(
        prompt=PROMPTS[0], panes=(ladder.pane_of(records[0]),), decoding=ladder.Decoding(strategy="sample")
    )
    workspace.texts.submit(request)
    assert prepare(workspace, Showing(), EN).prompts == []
    assert on_stage(present())["panes"] is False


def test_a_link_brings_the_same_view(workspace: Workspace) -> None:
    answered(workspace)
    app = present(lang="zh", size="run0000002", prompt="3", mode="read")
    shown = on_stage(app)
    assert (shown["stop"], shown["prompt"]) == (3, 3)
    assert shown["words"]["question"] == words_of("zh")("present.stage.question")
    assert param(app, "size") == "run0000002"


@pytest.mark.parametrize(
    "bad", [{"size": "nobody"}, {"mode": "fly"}, {"prompt": "-7"}, {"model": "none"}, {"asked": "x"}]
)
def test_an_address_that_makes_no_sense_does_no_harm(workspace: Workspace, bad: dict[str, str]) -> None:
    answered(workspace)
    assert on_stage(present(**bad))["stop"] == 2


def test_a_deleted_size_is_gone_from_the_slider(workspace: Workspace) -> None:
    answered(workspace)
    app = present(size="run0000001")
    workspace.runs.delete("run0000001")
    shown = on_stage(healthy(app.run()))
    assert len(shown["stops"]) == 3


# -- preparing -----------------------------------------------------------------------------------------------------


def test_an_empty_page_offers_to_measure_five_sizes(workspace: Workspace) -> None:
    app = present()
    assert app.button(key="measure_sizes").disabled
    assert EN("present.empty.alone") in said(app)
    with_worker(workspace)
    app.run()
    healthy(app.button(key="measure_sizes").click().run())
    jobs = workspace.jobs.open()
    assert len(jobs) == 5 and {job.stage for job in jobs} == {"final"}
    assert len({json.dumps(job.payload["recipe"]) for job in jobs}) == 5
    ladder.start(workspace, "storyteller", "me")
    assert len(workspace.jobs.open()) == 5  # those that wait are not asked for again


def test_every_rung_fits_the_bundled_model_and_is_smaller(workspace: Workspace) -> None:
    rungs = ladder.ladder("storyteller", workspace.models.facts("storyteller").layers)
    sizes = [workspace.estimate(recipe).compression_ratio for recipe in rungs]
    assert sizes == sorted(sizes) or sorted(sizes)[0] > 1.5
    assert len({round(ratio, 1) for ratio in sizes}) == 5


def finish(workspace: Workspace, kept: int) -> None:
    """A worker does all that waits: the runs end well and are kept, as sizes of their own."""
    while job := workspace.store.claim("w"):
        if job.kind == "run":
            recipe = Recipe.from_dict(job.payload["recipe"])
            done = sized(kept, 0.6 - 0.1 * kept, 2.0**kept, recipe=recipe.to_dict(), recipe_hash=recipe.content_hash)
            workspace.store.save_run(done.model_copy(update={"run_id": job.run_id}), job.id)
            kept += 1
        workspace.store.finish(job.id, "done")


def test_measured_sizes_have_their_answers_written_by_a_page_opened_later(workspace: Workspace) -> None:
    with_worker(workspace)
    first = present()
    first.button(key="measure_sizes").click().run()
    later = present()  # another visitor, or a reload
    assert EN("present.measuring", at=1, of=5) in later.get("progress")[0].proto.text
    finish(workspace, 0)
    healthy(later.run())
    asked = [job for job in workspace.jobs.open() if job.kind == "generate"]
    assert len(asked) == len(PROMPTS) and not any(job.live for job in asked)
    assert {len(job.payload["request"]["panes"]) for job in asked} == {6}
    healthy(later.run())
    assert len(workspace.jobs.open()) == len(PROMPTS)  # and not twice
    assert EN("present.writing", at=1, of=len(PROMPTS)) in later.get("progress")[0].proto.text


def test_what_ends_while_the_page_is_drawn_is_not_missed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer arrives after the page has read the store and before it looks for what is under way."""
    records = three(workspace)
    with_worker(workspace)
    app = present()
    app.button(key="write_answers").click().run()
    look = ladder.under_way

    def end_first(*given: Any) -> Any:
        monkeypatch.setattr(ladder, "under_way", look)
        while (job := workspace.store.claim("w")) is not None:
            workspace.store.finish(job.id, "cancelled")
        texts = {one.compressed_hash: f"a tale of {one.compressed_hash}" for one in records}
        for prompt in PROMPTS:
            write_answers(workspace, prompt, {records[0].baseline_hash: "a tale of old"} | texts)
        return look(*given)

    monkeypatch.setattr(ladder, "under_way", end_first)
    assert len(on_stage(healthy(app.run()))["prompts"]) == len(PROMPTS)


def test_only_ones_own_preparation_is_stopped(workspace: Workspace) -> None:
    with_worker(workspace)
    first, second = present(), present()
    first.button(key="measure_sizes").click().run()
    assert not [button for button in healthy(second.run()).button if button.key == "stop_preparing"]
    healthy(first.button(key="stop_preparing").click().run())
    assert workspace.jobs.open() == [] and len(workspace.jobs.in_states(("cancelled",))) == 5


def test_missing_answers_can_be_asked_for(workspace: Workspace) -> None:
    three(workspace)
    with_worker(workspace)
    app = present()
    assert workspace.jobs.open() == []  # a visit alone asks for nothing
    healthy(app.button(key="write_answers").click().run())
    assert {job.kind for job in workspace.jobs.open()} == {"generate"}


def test_with_few_sizes_more_are_offered(workspace: Workspace) -> None:
    workspace.store.save_run(sized(0, 0.5, 0.1))
    with_worker(workspace)
    app = present()
    assert len(on_stage(app)["stops"]) == 2
    healthy(app.button(key="measure_sizes").click().run())
    assert len(workspace.jobs.open()) == 5


# -- the tour, the question, the blind test ------------------------------------------------------------------------


def test_the_tour_has_five_steps_and_leads_the_slider(workspace: Workspace) -> None:
    answered(workspace)
    app = present()
    app.button(key="tour_start").click().run()
    stops = []
    for step in STEPS:
        shown = on_stage(healthy(app))
        stops.append(shown["stop"])
        assert shown["highlight"] == step.highlight and not shown["keys"]
        assert EN(f"present.tour.{step.name}") in [part.value for part in app.markdown]
        app.button(key="tour_next").click().run()
    assert len(STEPS) == 5 and stops == [0, 2, 3, 3, 2]
    assert on_stage(healthy(app))["highlight"] == "" and on_stage(app)["keys"]


def test_the_tour_goes_back_and_ends(workspace: Workspace) -> None:
    answered(workspace)
    app = present()
    app.button(key="tour_start").click().run()
    assert app.button(key="tour_back").disabled
    app.button(key="tour_next").click().run()
    app.button(key="tour_back").click().run()
    assert EN("present.tour.step", step=1, steps=5) in said(app)
    healthy(app.button(key="tour_end").click().run())
    assert not [button for button in app.button if button.key == "tour_next"]


def test_a_question_of_ones_own_goes_to_both(workspace: Workspace) -> None:
    answered(workspace)
    app = present(mode="ask", size="run0000002")
    assert app.button(key="present_ask").disabled and EN("present.ask.alone") in said(app)
    with_worker(workspace)
    app.run()
    app.button(key="present_ask").click().run()
    assert EN("present.ask.empty") in said(app) and workspace.jobs.open() == []
    app.text_input(key="present_question").set_value("Tom had a").run()
    healthy(app.button(key="present_ask").click().run())
    (job,) = workspace.jobs.open()
    assert job.payload["request"]["prompt"] == "Tom had a" and job.live
    assert len(job.payload["request"]["panes"]) == 2
    assert param(app, "asked") == str(job.id)


@pytest.mark.parametrize("button", ["A", "B", "same", "bad"])
def test_a_vote_counts_for_who_wrote_it(workspace: Workspace, button: str) -> None:
    small = answered(workspace)[2]
    app = present(mode="guess", size="run0000002")
    assert EN("present.stage.small") not in drawn(app)
    first_text = re.findall(r'<p dir="auto">(.*?)</p>', drawn(app))[0]
    app.button(key=f"guess_vote_{button}").click().run()
    tally = workspace.votes.tally(small.baseline_hash, small.compressed_hash)
    baseline_first = first_text == "a tale of old"
    expected = {"same": "same", "bad": "bad"}.get(button) or (
        "first" if (button == "A") == baseline_first else "second"
    )
    assert tally == Tally(**{expected: 1})
    assert EN("present.stage.small") in drawn(healthy(app)) and "So far" in said(app)
    healthy(app.button(key="guess_next").click().run())
    assert app.button(key="guess_vote_A")


def drawn(app: AppTest) -> str:
    """The two texts without names."""
    return "".join(body for part in app.get("html") if '<div class="guess">' in (body := part.proto.body))


def test_an_interval_is_told_only_after_enough_votes() -> None:
    assert "in 100" not in guess.tally_text(Tally(first=3, second=1, same=20), EN)
    assert "46 to 99" in guess.tally_text(Tally(first=5, second=1), EN) or "in 100" in guess.tally_text(Tally(5, 1), EN)


def test_texts_of_models_are_never_markup(workspace: Workspace) -> None:
    records = three(workspace)
    evil = "<img src=x onerror=alert(1)>"
    texts = {one.compressed_hash: f"{evil} {one.run_id}" for one in records}
    write_answers(workspace, PROMPTS[0], {records[0].baseline_hash: evil} | texts)
    body = drawn(present(mode="guess", size="run0000002"))
    assert "<img" not in body and "&lt;img" in body


def test_where_both_say_the_same_there_is_nothing_to_guess(workspace: Workspace) -> None:
    records = three(workspace)
    texts = {one.compressed_hash: "the same" for one in records}
    write_answers(workspace, PROMPTS[0], {records[0].baseline_hash: "the same"} | texts)
    assert EN("present.guess.alike") in said(present(mode="guess", size="run0000002"))
    assert EN("present.guess.choose") in said(present(mode="guess", size=BASELINE))
