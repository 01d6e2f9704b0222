"""The main job in a real browser, on the bundled model and a real worker: slider, Compress, both texts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.dashboard_server import Dashboard, slowed
from tests.patience import eventually
from tests.studio_page import CARDS, EN, PANES, StudioPage, keyed

# Little to measure, so that a whole run takes seconds. What is tested is the way, not the numbers.
SMALL = ";evaluation,max_tokens=4096,max_questions=24;speed,repeats=2,new_tokens=8"
CHART = "document.querySelector('.st-key-chart_quality [role=img]')?.ariaLabel"  # says in words what it draws
TEXT = "[...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector('.pane.compressed'))"
TEXT += "?.shadowRoot.querySelector('.pane.compressed .body').innerText"
SIZE_AND_QUALITY = "[...document.querySelectorAll('.verdict article')].slice(0, 2)"
SIZE_AND_QUALITY += ".map((card) => card.querySelector('.headline')?.innerText).join('|')"


def number(text: str) -> float:
    """The first one in it; the minus sign is a typographer's."""
    found = re.search(r"[-+]?[\d.]+", text.replace("−", "-").replace(",", ""))
    assert found, f"There is no number in {text!r}."
    return float(found.group())


def test_a_first_visit_shows_the_studio_and_measures_a_draft_by_itself(studio: StudioPage) -> None:
    studio.open()
    expect(studio.button("compress")).to_be_enabled()
    expect(studio.page.get_by_test_id("stException")).to_have_count(0)
    expect(studio.sentence).to_contain_text("times smaller")
    studio.expect_stage("quality", "draft")
    studio.expect_status("idle.draft")
    studio.expect_stage("speed", "estimate")  # nothing that was not timed is more than a bound
    expect(studio.card("speed").locator(".headline")).to_contain_text("≤")


def test_a_slider_repaints_the_estimate_and_then_brings_a_draft(studio: StudioPage) -> None:
    studio.open("quantize_rtn,bits=6" + SMALL)
    studio.expect_stage("quality", "draft")
    size, quality = (studio.card(name).locator(".headline") for name in ("size", "quality"))
    before, loss_before = size.inner_text(), quality.inner_text()
    studio.page.evaluate("window.sameVisit = true")
    studio.observe(SIZE_AND_QUALITY)
    studio.slider("quantize.bits").press("Home")
    expect(size).not_to_have_text(before)
    studio.expect_stage("quality", "draft")
    assert number(size.inner_text()) > number(before)
    assert number(quality.inner_text()) > number(loss_before)  # 2 bits cost more than 6
    shown = [cards.split("|") for cards in studio.observed()]
    assert all(loss != loss_before for size, loss in shown if size != before), "6 bits say nothing about 2"
    studio.param("recipe", "^quantize_rtn,bits=2")
    assert studio.page.evaluate("window.sameVisit")


def test_a_section_that_was_closed_says_again_what_was_set_in_it(studio: StudioPage) -> None:
    studio.open("quantize_rtn,bits=4" + SMALL, live="off")
    group = studio.slider("quantize.group_size")
    expect(group).to_have_count(0)  # drawn only where it is seen
    studio.turn("step.quantize.advanced")
    group.press("Home")
    studio.param("recipe", "group_size=0")
    expect(group).to_be_visible()
    studio.turn("step.quantize.advanced")
    expect(group).to_have_count(0)
    studio.turn("step.quantize.advanced")
    expect(group).to_have_value("0")


def test_the_latest_slider_wins(studio: StudioPage, dashboard: Dashboard) -> None:
    with slowed(dashboard.child):
        studio.open("quantize_rtn,bits=8;evaluation,max_tokens=200000")
        thumb = studio.slider("quantize.bits")
        expect(thumb).to_have_value("8")
        for bits in (7, 6, 5):
            thumb.press("ArrowLeft")
            expect(studio.page).to_have_url(re.compile(f"bits%3D{bits}"))
    studio.expect_stage("quality", "draft")
    newest, *older = dashboard.workspace.jobs.in_states(["queued", "running", "done", "cancelled"])[:3]
    assert newest.payload["recipe"]["steps"][0]["quantize_rtn"]["bits"] == 5
    assert any(job.state == "cancelled" for job in older), "No draft gave way to a newer one."
    dashboard.workspace.jobs.cancel(newest.id)  # the next test has the worker to itself


def test_compress_streams_its_progress_and_ends_in_final_numbers(studio: StudioPage, dashboard: Dashboard) -> None:
    studio.open("quantize_rtn,bits=3;evaluation,max_tokens=16384,max_questions=24;speed,repeats=2", live="off")
    expect(studio.card("quality").locator(".headline")).to_have_count(0)
    below = keyed(studio.page, "measured_on")  # in the sidebar, under what the run will say of the machine
    place = below.bounding_box()
    studio.observe(CHART)
    with slowed(dashboard.child):
        studio.button("compress").click()
        expect(studio.progress).to_be_visible()
        expect(studio.button("stop")).to_be_visible()
        # the quality chart grows while it measures
        eventually(lambda: len({text for text in studio.observed() if "tokens" in text}) >= 3, dashboard.log)
    for card in CARDS:
        studio.expect_stage(card, "final")
    assert below.bounding_box() == place, "What was under the pointer has moved."
    expect(studio.status).to_contain_text("Final")
    expect(studio.chart("speed")).to_be_visible()
    expect(studio.chart("accuracy")).to_be_visible()
    expect(studio.progress).to_have_count(0)
    shows_what_was_measured(studio, dashboard)


def shows_what_was_measured(studio: StudioPage, dashboard: Dashboard) -> None:
    record = dashboard.workspace.runs.find(studio.param("run"))
    perplexity = record.find("perplexity")
    small, whole = record.find("size_on_disk_bytes"), record.find("size_on_disk_bytes", "baseline")
    assert perplexity and small and whole
    shown = number(studio.card("quality").locator(".after").inner_text())
    assert shown == pytest.approx(perplexity.value, rel=0.01)
    times = number(studio.card("size").locator(".headline").inner_text())
    assert times == pytest.approx(whole.value / small.value, rel=0.02)
    decode = record.find("decode_tokens_per_second")
    assert decode and decode.runtime  # chosen by timing: a kernel for low bits is real, torch's is not
    expect(studio.card("speed").locator(".chip.simulated")).to_have_count(int(decode.kernel == "simulated"))


def test_both_models_write_word_by_word_and_the_first_difference_is_marked(
    studio: StudioPage, dashboard: Dashboard
) -> None:
    studio.open("prune_magnitude,sparsity=0.6" + SMALL + ";recipe,runtime=torch", live="off")
    keyed(studio.page, "decoding").get_by_role("button").first.click()
    length = keyed(studio.page, "decoding.max_new_tokens").locator("input")
    length.fill("440")
    length.press("Enter")
    length.press("Escape")
    studio.observe(TEXT)
    studio.button("generate").click()
    with slowed(dashboard.child):
        studio.expect_texts()
    lengths = {len(text) for text in studio.observed()}
    assert len(lengths) >= 4, f"The text came in one piece: {lengths}"
    texts = [studio.pane(name).locator(".body").inner_text() for name in PANES]
    prompt = studio.prompt.input_value()
    assert all(text.startswith(prompt) and len(text) > len(prompt) for text in texts)
    hashes = [studio.pane(name).locator(".hash").inner_text() for name in PANES]
    assert all(re.fullmatch(r"[0-9a-f]{12}", one) for one in hashes) and hashes[0] != hashes[1]
    assert first_marked(studio) == first_difference(*texts)
    for name in PANES:
        expect(studio.pane(name).locator(".facts")).to_contain_text("tokens/s")


def first_difference(one: str, other: str) -> tuple[str, str]:
    """What both have in common, word by word, and the first word that only the second has."""
    words = [re.findall(r"\S+", text) for text in (one, other)]
    place = next(i for i, pair in enumerate(zip(*words, strict=False)) if pair[0] != pair[1])
    return " ".join(words[1][:place]), words[1][place]


def first_marked(studio: StudioPage) -> tuple[str, str]:
    """What stands before the mark in the compressed model's text, and what is marked."""
    body = studio.pane("compressed").locator(".body")
    mark = body.locator("mark").inner_text()
    before = body.evaluate("""body => {
        const range = document.createRange();
        range.setStart(body, 0);
        range.setEndBefore(body.querySelector("mark"));
        return range.toString();
    }""")
    return " ".join(before.split()), mark


def test_without_steps_both_panes_are_the_baseline_to_the_last_word(studio: StudioPage) -> None:
    studio.open("baseline", live="off")
    expect(studio.button("compress")).to_be_disabled()
    studio.button("generate").click()
    studio.expect_texts()
    expect(studio.pane("compressed").locator(".facts")).to_contain_text(EN("pane.same"))
    hashes = [studio.pane(name).locator(".hash").inner_text() for name in PANES]
    assert hashes[0] == hashes[1]


def test_a_prompt_is_shown_letter_by_letter(studio: StudioPage) -> None:
    prompt = '<b>Mia</b> & <img src=x onerror="window.hacked=1"> **had** $1$ :red[kite]'
    studio.open("baseline", live="off")
    studio.prompt.fill(prompt)
    studio.button("generate").click()
    studio.expect_texts()
    for name in PANES:
        assert studio.pane(name).locator(".prompt").inner_text() == prompt
        expect(studio.pane(name).locator(".body :is(b, img)")).to_have_count(0)
    assert studio.page.evaluate("window.hacked") is None
