"""The report: everything in one file, no request to anywhere, nothing of anyone else's as markup."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from compresslab.commands import main
from compresslab.errors import BadInput
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import PaneDone, PaneStarted, to_json
from compresslab.records.results import LossPoint, RunRecord
from compresslab.workspace import Workspace
from compresslab_dashboard.answers.word_diff import Piece, differing
from compresslab_dashboard.report.writing import make
from compresslab_dashboard.texts import LANGUAGES, words_of
from playwright.sync_api import Page, expect

from tests.test_dashboard_pages import measured, record
from tests.test_dashboard_pages import opened as opened_studio

EN = words_of("en")
EVIL = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"


@pytest.fixture
def workspace(own_home: Any) -> Workspace:
    return Workspace()


def write_answers(workspace: Workspace, prompt: str, texts: dict[str, str], *, live: bool = False) -> None:
    """A generation that was carried out: what each of these weights wrote."""
    panes = tuple(Pane(label=weights, source="baseline") for weights in texts)
    request = GenerateRequest(prompt=prompt, panes=panes, decoding=Decoding(max_new_tokens=64))
    job = workspace.texts.submit(request, live=live)
    while (claimed := workspace.store.claim("w")) and claimed.id != job:
        workspace.store.finish(claimed.id, "done")
    for place, (weights, text) in enumerate(texts.items()):
        runtime = "onnxruntime, MatMul float32" if place else "torch, dense float32"
        done = PaneDone(pane=place, text=text, tokens=len(text.split()), ttft_seconds=0.01, runtime=runtime)
        events = [PaneStarted(pane=place, label=weights, weights_hash=weights), done]
        workspace.store.append_events(job, [to_json(event) for event in events])
    workspace.store.finish(job, "done")


def smaller() -> RunRecord:
    """Another run: two bits, other weights, another machine, trained a little."""
    recipe = Recipe.from_dict({"steps": [{"quantize_rtn": {"bits": 2}}]})
    one = record(7, recipe)
    elsewhere = one.hardware.model_copy(update={"device_name": "Another machine"})
    losses = [LossPoint(step=n, loss=3.0 - n / 10) for n in range(1, 9)]
    return one.model_copy(update={"compressed_hash": "cccc3333", "hardware": elsewhere, "losses": losses})


def visible(html: str) -> str:
    """What is read: no scripts, no styles, no tags."""
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.S)))


# -- what is in it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_is_told_whole(workspace: Workspace, language: str) -> None:
    words = words_of(language)
    one = record()
    text = visible(make(workspace, [one], language))
    for said in (one.run_id, "A machine", "torch 2.13.0", "bits: 4", one.baseline_hash, one.compressed_hash):
        assert said in text
    for heading in ("report.numbers", "report.recipe", "report.machine", "report.caveats"):
        assert words(heading) in text
    assert words("report.caveat.simulated") in text
    assert words.measurement("perplexity") in text and words.said("bundled stories") in text
    assert words("report.texts") not in text  # none were recorded


def test_several_runs_stand_side_by_side(workspace: Workspace) -> None:
    html = make(workspace, [record(), smaller()], "en")
    text = visible(html)
    assert "A · 4 bit" in text and "B · 2 bit" in text
    assert EN("report.caveat.machines") in text and EN("report.caveat.models") not in text
    for name in ("overview", "perplexity", "size_on_disk_bytes", "decode_tokens_per_second"):
        assert f'id="chart-{name}"' in html


def test_texts_that_were_recorded_stand_side_by_side_with_their_differences(workspace: Workspace) -> None:
    one = record()
    write_answers(
        workspace, "Tom had a", {one.baseline_hash: "red kite.", one.compressed_hash: "red dog & a <b>cat</b>."}
    )
    write_answers(workspace, "Unheard", {"another": "text of other weights"})
    html = make(workspace, [one], "en")
    assert "<mark>dog &amp; a &lt;b&gt;cat&lt;/b&gt;.</mark>" in html
    assert "red kite." in html and "text of other weights" not in html
    assert html.index("torch, dense float32") < html.index("onnxruntime, MatMul float32")


def test_of_two_recordings_the_newer_is_taken(workspace: Workspace) -> None:
    one = record()
    for text in ("the old words", "the new words"):
        write_answers(workspace, "Tom", {one.baseline_hash: "same", one.compressed_hash: text}, live=True)
    assert [a.text for a in workspace.texts.recorded([one.compressed_hash])] == ["the new words"]
    assert workspace.texts.recorded([]) == []


def test_a_run_without_speed_or_questions_still_has_a_report(workspace: Workspace) -> None:
    bare = record().model_copy(update={"measurements": measured("size_on_disk_bytes", 8e6, 2e6, "bytes")})
    html = make(workspace, [bare], "en")
    assert 'id="chart-size"' in html and 'id="chart-speed"' not in html
    assert EN("report.caveat.unmeasured", names="4 bit") in visible(html)


def test_seven_runs_are_too_many_and_none_too_few(workspace: Workspace) -> None:
    for records in ([], [record(n) for n in range(7)]):
        with pytest.raises(BadInput, match="up to 6"):
            make(workspace, records, "en")


@pytest.mark.parametrize(
    ("first", "other", "marked"),
    [
        ("a red kite", "a red kite", []),
        ("a red kite flew", "a blue kite flew", ["blue"]),
        ("a red", "a red kite flew", ["kite flew"]),
        ("", "all new", ["all new"]),
        ("gone", "", []),
    ],
)
def test_words_that_differ(first: str, other: str, marked: list[str]) -> None:
    pieces = differing(first, other)
    assert "".join(piece.text for piece in pieces) == other
    assert [piece.text for piece in pieces if piece.differs] == marked
    assert all(isinstance(piece, Piece) for piece in pieces)


def test_the_studio_hands_it_out_with_a_finished_run(workspace: Workspace) -> None:
    app = opened_studio(live="off", recipe="quantize_rtn")
    assert not app.get("download_button")
    workspace.store.save_run(record())
    again = opened_studio(live="off", recipe="quantize_rtn", run="run0000000")
    assert [button.proto.label for button in again.get("download_button")].count(EN("report.download")) == 1


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_writes_the_file(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.store.save_run(record())
    workspace.store.save_run(smaller())
    out = tmp_path / "report.html"
    assert main.main(["report", "run0000000,run0000007", "--out", str(out), "--language", "zh"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert words_of("zh")("report.caveats") in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "--out", "{folder}/a.html"], "There is no run 'nobody'"),
        (["run0000000", "--out", "{folder}/no/such/a.html"], "can't be written"),
        (["run0000000"], "--out"),
    ],
)
def test_the_command_refuses_in_one_sentence(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    workspace.store.save_run(record())
    folder = tmp_path / "out"
    folder.mkdir()
    assert main.main(["report", *(word.format(folder=folder) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not list(folder.iterdir())


# -- in a browser --------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(page: Page, workspace: Workspace, tmp_path: Path) -> Page:
    """A comparison whose every text means harm; `window.requests` is what it asked the network for."""
    evil = smaller().model_copy(update={"model": EVIL, "notices": [EVIL]})
    one = record()
    write_answers(
        workspace, EVIL, {one.baseline_hash: EVIL, one.compressed_hash: f"{EVIL} more", evil.compressed_hash: "tame"}
    )
    file = tmp_path / "report.html"
    file.write_text(make(workspace, [one, evil], "en"), encoding="utf-8")
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    expect(page.locator("svg.main-svg").first).to_be_visible()
    assert asked == [file.as_uri()], f"It asked for {asked[1:]}"
    assert not complaints
    return page


def test_it_opens_offline_and_its_charts_move(opened: Page) -> None:
    chart = opened.locator("#chart-overview")
    assert opened.locator(".plotly-graph-div").count() >= 4
    before = opened.evaluate("document.querySelector('#chart-overview')._fullLayout.xaxis.range")
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box
    opened.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    opened.mouse.up()
    opened.wait_for_function(
        "before => document.querySelector('#chart-overview')._fullLayout.xaxis.range[0] > before[0]", arg=before
    )


def test_nothing_that_others_wrote_becomes_markup(opened: Page) -> None:
    assert opened.evaluate("window.hurt") is None
    assert opened.locator("main img").count() == 0
    expect(opened.get_by_role("heading", level=1)).to_contain_text("onerror")
    expect(opened.locator(".texts .prompt")).to_contain_text("<img src=x")


def test_it_prints_on_white_without_cutting_a_chart(opened: Page) -> None:
    opened.set_viewport_size({"width": 688, "height": 1000})  # A4 between its margins
    opened.emulate_media(media="print", color_scheme="dark")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    drawn = opened.evaluate("[...document.querySelectorAll('.main-svg')].map(s => s.getBoundingClientRect().right)")
    framed = opened.evaluate("[...document.querySelectorAll('figure.chart')].map(f => f.getBoundingClientRect().right)")
    assert max(drawn) < max(framed) <= 688
    colours = opened.evaluate(
        "['.verdict, .runs li', 'main'].map(s => getComputedStyle(document.querySelector(s)).color)"
    )
    assert all(sum(map(int, re.findall(r"\d+", colour)[:3])) < 200 for colour in colours), colours
    assert opened.evaluate("getComputedStyle(document.querySelector('figure.chart')).breakInside") == "avoid"
    assert opened.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_grave_fault_in_it(
    workspace: Workspace, page: Page, tmp_path: Path, language: str, scheme: Any
) -> None:
    one = record()
    write_answers(workspace, "Tom had a", {one.baseline_hash: "red kite.", one.compressed_hash: "red dog."})
    page.emulate_media(color_scheme=scheme)
    for name, records in (("one", [one]), ("two", [one, smaller()])):
        file = tmp_path / f"{name}.html"
        file.write_text(make(workspace, records, language), encoding="utf-8")
        page.goto(file.as_uri())
        expect(page.locator("svg.main-svg").first).to_be_visible()
        grave = [
            fault for fault in Axe().run(page).response["violations"] if fault["impact"] in ("serious", "critical")
        ]
        assert not grave, [(fault["id"], [node["html"][:200] for node in fault["nodes"]]) for fault in grave]


def test_it_is_read_on_a_phone_and_mailed(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Path(opened.url.removeprefix("file://")).stat().st_size < 5_000_000


@pytest.mark.parametrize(
    "text", ["**bold** <b>b</b> [a](javascript:alert(1)) $x$", "=1+1", "🦊 ¡olé! \u202e tricked", "مرحبا بالعالم"]
)
def test_every_writing_is_text(workspace: Workspace, page: Page, tmp_path: Path, text: str) -> None:
    one = record()
    write_answers(workspace, text, {one.baseline_hash: text, one.compressed_hash: f"{text} too"})
    file = tmp_path / "report.html"
    file.write_text(make(workspace, [one], "en"), encoding="utf-8")
    page.goto(file.as_uri())
    expect(page.locator(".texts .prompt")).to_have_text(text)
    expect(page.locator(".texts .pane p").first).to_have_text(text)
    assert page.locator(".texts :is(b, a, strong, script)").count() == 0
    direction = page.locator(".texts .prompt").evaluate("e => getComputedStyle(e).direction")
    assert direction == ("rtl" if text[0] == "م" else "ltr")
