"""The Compare page as people use it: a real Chromium, runs really made, their answers really written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from compresslab.recipes.recipe import Recipe
from playwright.sync_api import Browser, expect

from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, StudioPage, keyed, settle, visitor

BITS = (4, 2)


def recipe(bits: int) -> Recipe:
    return Recipe.from_dict(
        {
            "steps": [{"quantize_rtn": {"bits": bits}}],
            "evaluation": {"max_tokens": 2048, "max_questions": 20},
            "metrics": [{"perplexity": {}}, {"agreement": {}}, {"footprint": {}}],
        }
    )


@pytest.fixture(scope="module")
def runs(dashboard: Dashboard) -> list[str]:
    """Two sizes of the bundled model, the larger first."""
    for bits in BITS:
        dashboard.workspace.submit(recipe(bits))
    eventually(lambda: len(dashboard.workspace.runs.all()) == len(BITS), dashboard.log)
    return [record.run_id for record in reversed(dashboard.workspace.runs.all())]


@pytest.fixture
def one(dashboard: Dashboard, browser: Browser, runs: list[str]) -> Iterator[StudioPage]:
    with visitor(browser, dashboard.url) as visiting:
        show(visiting, f"baseline:storyteller,{','.join(runs)}")
        yield visiting


def show(one: StudioPage, members: str, **params: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in ({"runs": members} | params).items())
    one.page.goto(f"{one.url}/compare?{query}")
    expect(keyed(one.page, "compare_bar")).to_be_visible(timeout=PATIENCE)


def generated(one: StudioPage) -> None:
    one.button("compare_generate").click()
    expect(one.page.locator(".pane.done")).to_have_count(3, timeout=PATIENCE)


def test_three_models_answer_one_prompt_and_a_colleague_sees_the_same(one: StudioPage, browser: Browser) -> None:
    generated(one)
    page = one.page
    hashes = page.locator(".pane .hash").all_inner_texts()
    assert len(set(hashes)) == 3
    expect(page.locator(".pane mark").last).not_to_be_empty()
    assert page.locator(".pane").nth(2).locator(".other").count() > 3
    texts = page.locator(".pane .body").all_inner_texts()
    with visitor(browser, one.url) as colleague:
        colleague.page.goto(page.url)
        expect(colleague.page.locator(".pane.done")).to_have_count(3, timeout=PATIENCE)
        assert colleague.page.locator(".pane .body").all_inner_texts() == texts


def test_a_word_tells_how_likely_it_was_by_mouse_and_by_keyboard(one: StudioPage) -> None:
    generated(one)
    pane = one.page.locator(".pane").first
    pane.locator(".after span").nth(1).hover()
    expect(pane.locator(".tip")).to_have_text(re.compile(r"\d\s%.* · .*\d\s%"))
    expect(pane.locator(".facts")).to_be_hidden()
    one.page.mouse.move(2, 2)
    expect(pane.locator(".tip")).to_have_text("")
    expect(pane.locator(".facts")).to_be_visible()
    pane.locator(".body").focus()
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowRight")
    expect(pane.locator(".told")).to_have_count(1)
    expect(pane.locator(".tip")).to_have_text(re.compile(r"\d\s%"))


def test_the_race_replays_every_word_against_the_clock(one: StudioPage) -> None:
    generated(one)
    texts = one.page.locator(".pane .body").all_inner_texts()
    one.button("compare_race").click()
    expect(one.page.locator(".pane.racing").first).to_be_visible()
    expect(one.page.locator(".ahead").first).to_be_attached()
    expect(one.page.locator(".pane .state").first).to_have_text(re.compile(r"^\d+\.\d+\ss"))
    expect(one.page.locator(".ahead")).to_have_count(0)
    expect(one.page.locator(".pane.racing")).to_have_count(0)
    assert one.page.locator(".pane .body").all_inner_texts() == texts


def test_numbers_and_recipes_side_by_side(one: StudioPage) -> None:
    keyed(one.page, "compare_view").get_by_text(EN("compare.view.numbers")).click()
    table = one.page.locator(".compare-table")
    perplexity = table.get_by_role("row", name=re.compile("Perplexity"))
    expect(perplexity.locator("td")).to_have_count(3)
    expect(
        table.get_by_role("row", name=re.compile("Size on disk")).locator("td").last.locator(".best")
    ).to_be_visible()
    keyed(one.page, "compare_view").get_by_text(EN("compare.view.recipes")).click()
    expect(keyed(one.page, "compare_recipes").locator("[role=gridcell]").filter(has_text="bits").first).to_be_attached()
    one.param("view", "^recipes$")
    one.page.reload()
    expect(keyed(one.page, "compare_recipes")).to_be_visible(timeout=PATIENCE)


def test_a_pasted_set_is_answered_kept_as_a_file_and_judged_blind(one: StudioPage) -> None:
    page = one.page
    keyed(page, "compare_view").get_by_text(EN("compare.view.prompts")).click()
    keyed(page, "compare_set_source").get_by_text(EN("compare.set.pasted")).click()
    box = keyed(page, "compare_set_text").get_by_role("textbox")
    box.fill('One day, Tom saw\n{"prompt": }')
    box.press("Control+Enter")
    expect(page.get_by_text("Line 2 is not valid JSON")).to_be_visible()
    box.fill("One day, Tom saw\n@Mia had a red")
    box.press("Control+Enter")
    expect(page.get_by_text(EN("compare.set.count", prompts=2, members=3))).to_be_visible()
    one.button("compare_set_go").click()
    expect(page.get_by_text("of 2 answers letter by letter").first).to_be_visible(timeout=PATIENCE)
    settle(page)
    with page.expect_download() as download:
        keyed(page, "compare_set_csv").get_by_role("button").click()
    saved = download.value.path().read_text(encoding="utf-8")
    assert '"\'@Mia had a red"' in saved and saved.count("One day, Tom saw") == 1

    keyed(page, "compare_view").get_by_text(EN("compare.view.blind")).click()
    expect(page.locator(".blind-pane h3")).to_have_text(["A", "B"])
    page.locator(".blind-pane p").first.click()  # away from the views, which arrow keys change too
    settle(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".blind-pane h3").first).to_have_text(re.compile(r"^A: .+"))
    expect(keyed(page, "compare_tally")).to_be_visible()
    one.button("compare_next").click()
    expect(page.locator(".blind-pane h3")).to_have_text(["A", "B"])
