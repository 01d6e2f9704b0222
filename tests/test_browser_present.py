"""The Present page as a room sees it: a real Chromium; sizes really measured, their answers really written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from compresslab.recipes.recipe import Recipe
from compresslab.workspace import Workspace
from compresslab_dashboard.present.ladder import ladder
from compresslab_dashboard.present.sizes import sizes_of
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, Locator, expect

from tests.dashboard_server import Dashboard, slowed
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, StudioPage, keyed, settle, visitor

EVALUATION = {"max_tokens": 2048, "max_questions": 20}
SPEED = {"repeats": 2, "new_tokens": 8}


def sizes() -> list[Recipe]:
    """Three rungs of the page's own ladder, measured on a little less."""
    rungs = ladder("storyteller", 8)
    metrics = [{"perplexity": {}}, {"accuracy": {}}, {"agreement": {}}, {"speed": SPEED}, {"footprint": {}}]
    small = {"evaluation": EVALUATION, "metrics": metrics}
    return [Recipe.from_dict(recipe.to_dict() | small) for recipe in (rungs[0], rungs[1], rungs[-1])]


@pytest.fixture(scope="module")
def prepared(dashboard: Dashboard, browser: Browser) -> Dashboard:
    """The one button of an empty page, stopped; then three sizes from elsewhere, their answers written by the page."""
    workspace = dashboard.workspace
    with visitor(browser, dashboard.url) as one:
        one.page.goto(f"{dashboard.url}/present")
        with slowed(dashboard.child):
            one.button("measure_sizes").click()
            expect(one.page.get_by_text(EN("present.measuring", at=1, of=5))).to_be_visible()
            one.button("stop_preparing").click()
        expect(one.button("measure_sizes")).to_be_visible(timeout=PATIENCE)
        eventually(lambda: len(workspace.jobs.in_states(("cancelled",))) == 5, dashboard.log)
        for recipe in sizes():
            workspace.submit(recipe)
        eventually(lambda: len(workspace.runs.all()) == 3, dashboard.log)
        one.page.reload()
        one.button("write_answers").click()
        expect(one.page.locator(".chip")).to_have_count(8, timeout=PATIENCE)  # every prompt has its answers
        eventually(lambda: not workspace.jobs.open(), dashboard.log)
    return dashboard


@pytest.fixture
def room(prepared: Dashboard, browser: Browser) -> Iterator[StudioPage]:
    with visitor(browser, prepared.url) as one:
        show(one, "?size=baseline")
        yield one


def show(one: StudioPage, query: str = "") -> None:
    one.page.goto(f"{one.url}/present{query}")
    expect(slider(one)).to_be_visible(timeout=PATIENCE)


def slider(one: StudioPage) -> Locator:
    return one.page.get_by_role("slider")


def press(one: StudioPage, key: str) -> None:
    """A key that presses a button, as a person does: after looking at what is there."""
    settle(one.page)
    one.page.keyboard.press(key)


def marks(one: StudioPage) -> Locator:
    return one.page.locator(".pane.small mark")


def stops(workspace: Workspace) -> int:
    """Of the slider: as many as the runs of which none beats another, and the baseline."""
    return 1 + len(sizes_of(workspace.runs.rows(), "storyteller"))


def test_arrow_keys_make_it_smaller_and_the_words_depart(room: StudioPage, prepared: Dashboard) -> None:
    last = stops(prepared.workspace) - 1
    assert last >= 2
    expect(room.page.locator(".name")).to_have_text(EN("present.baseline.name"))
    expect(marks(room)).to_have_count(0)
    for _ in range(last + 1):  # one more than there are: it stays at the end
        room.page.keyboard.press("ArrowRight")
    expect(slider(room)).to_have_value(str(last))
    expect(room.page.locator(".name")).to_have_text(re.compile("of the size"))
    expect(marks(room).first).to_be_visible()
    filled = room.page.locator(".waffle.squares i.on")
    assert 5 <= filled.count() <= 15
    expect(room.page).to_have_url(re.compile("size=(?!baseline)"))  # a reload, or a colleague, sees the same
    text = room.page.locator(".pane.small .body").inner_text()
    room.page.reload()
    expect(slider(room)).to_have_value(str(last))
    assert room.page.locator(".pane.small .body").inner_text() == text


def test_a_moved_slider_answers_in_the_same_moment(room: StudioPage, prepared: Dashboard) -> None:
    """Nothing is asked of the server: it answers while that stands still, in frames of the screen."""
    server = prepared.server
    server.suspend()
    try:
        frames = slider(room).evaluate(
            """input => new Promise((done) => {
              const name = input.getRootNode().querySelector(".name"), before = name.textContent;
              let frames = 0;
              input.value = input.max;
              input.dispatchEvent(new Event("input", { bubbles: true }));
              const look = () => (name.textContent === before ? (frames++, requestAnimationFrame(look)) : done(frames));
              look();
            })"""
        )
    finally:
        server.resume()
    assert frames <= 2


def test_up_and_down_change_the_question_and_typing_does_not(room: StudioPage) -> None:
    chips = room.page.locator(".chip")
    room.page.keyboard.press("ArrowDown")
    expect(chips.nth(1)).to_have_attribute("aria-pressed", "true")
    room.page.keyboard.press("ArrowUp")
    expect(chips.nth(0)).to_have_attribute("aria-pressed", "true")
    chips.nth(4).click()
    expect(room.page.locator(".asked")).to_contain_text("Question:")
    room.page.get_by_role("radio", name=EN("present.mode.ask")).click(force=True)
    question = keyed(room.page, "present_question").get_by_role("textbox")
    question.fill("Tom had")
    question.press("ArrowLeft")
    expect(slider(room)).to_have_value("0")


def test_a_question_of_ones_own_is_answered_by_both(room: StudioPage) -> None:
    show(room, "?mode=ask")
    keyed(room.page, "present_question").get_by_role("textbox").fill("Lily had a red kite. One day")
    room.button("present_ask").click()
    for name in ("baseline", "compressed"):
        pane = keyed(room.page, "present_answers").locator(f".pane.{name}")
        expect(pane).to_have_class(re.compile(r"\bdone\b"), timeout=PATIENCE)
        assert len(pane.locator(".body").inner_text()) > len("Lily had a red kite. One day")
    expect(room.page).to_have_url(re.compile("asked="))


def test_the_tour_is_driven_by_keys(room: StudioPage, prepared: Dashboard) -> None:
    room.button("tour_start").click()
    card = room.page.locator(".st-key-tour_above, .st-key-tour_below")
    expect(card).to_contain_text(EN("present.tour.step", step=1, steps=5))
    room.page.evaluate("document.activeElement?.blur()")
    for step in range(2, 6):
        press(room, "ArrowRight")
        expect(card).to_contain_text(EN("present.tour.step", step=step, steps=5))
        if step == 4:
            expect(slider(room)).to_have_value(str(stops(prepared.workspace) - 1))
            expect(room.page.locator(".texts.lit")).to_be_visible()
    press(room, "Escape")
    expect(card).to_have_count(0)
    expect(room.page.locator(".lit")).to_have_count(0)


def test_a_blind_vote_is_counted_and_the_names_appear(room: StudioPage, prepared: Dashboard) -> None:
    smallest = prepared.workspace.runs.find(sizes_of(prepared.workspace.runs.rows(), "storyteller")[-1].run.run_id)
    show(room, f"?mode=guess&size={smallest.run_id}")
    panes = room.page.locator(".guess .pane")
    expect(panes).to_have_count(2)
    expect(panes.get_by_role("heading")).to_have_text(["A", "B"])
    votes = prepared.workspace.votes
    before = votes.tally(smallest.baseline_hash, smallest.compressed_hash).asked
    press(room, "ArrowLeft")
    expect(panes.get_by_role("heading").filter(has_text=EN("present.stage.small"))).to_have_count(1)
    assert votes.tally(smallest.baseline_hash, smallest.compressed_hash).asked == before + 1
    press(room, "ArrowRight")
    expect(panes.get_by_role("heading")).to_have_text(["A", "B"])
    assert votes.tally(smallest.baseline_hash, smallest.compressed_hash).asked == before + 1


def test_nothing_of_the_engine_room_is_seen(room: StudioPage) -> None:
    expect(room.page.locator(".stSidebar")).to_be_hidden()
    read = room.page.locator(".st-key-present").inner_text()
    assert not re.search(r"\b(job|worker|child|perplexity|token|baseline|recipe)", read, re.I)


def test_a_report_and_a_table_are_handed_out(room: StudioPage, prepared: Dashboard) -> None:
    """From the History: with the answers that the page recorded, and as a table without formulas."""
    shown = sizes_of(prepared.workspace.runs.rows(), "storyteller")
    first, last = shown[0].run, shown[-1].run
    room.page.goto(f"{room.url}/history?run={first.run_id},{last.run_id}")
    settle(room.page)
    with room.page.expect_download() as report:
        room.button("report").click()
    assert re.fullmatch(r"compresslab-\w+-\w+\.html", report.value.suggested_filename)
    html = report.value.path().read_text(encoding="utf-8")
    assert EN("report.texts") in html and last.run_id in html and html.count('class="texts"') == 8
    with room.page.expect_download() as table:
        room.button("history_csv").click()
    lines = table.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 1 + len(prepared.workspace.runs.all()) and "compressed_hash" in lines[0]


def test_f_fills_the_screen_and_gives_it_back(room: StudioPage) -> None:
    header = room.page.get_by_test_id("stHeader")
    pane = room.page.locator(".pane.small")
    before = pane.bounding_box()
    for key, full in (("f", True), ("F", False)):
        room.page.keyboard.press(key)
        room.page.wait_for_function("full => Boolean(document.fullscreenElement) === full", arg=full)
        expect(header).to_be_hidden() if full else expect(header).to_be_visible()
        after = pane.bounding_box()
        assert before and after and (after["height"] > before["height"] + 20) == full
    show(room, "?mode=ask")
    keyed(room.page, "present_question").get_by_role("textbox").press_sequentially("five foxes")
    assert not room.page.evaluate("Boolean(document.fullscreenElement)")


def test_what_is_to_be_read_is_not_covered_by_the_tour(room: StudioPage) -> None:
    room.button("tour_start").click()
    pane = room.page.locator(".pane.small")
    for step, covers in enumerate((True, False, False, True), start=1):
        card = room.page.locator(".st-key-tour_above" if covers else ".st-key-tour_below")
        expect(card).to_contain_text(EN("present.tour.step", step=step, steps=5))
        if covers:
            above, below = card.bounding_box(), pane.bounding_box()
            assert above and below and above["y"] + above["height"] <= below["y"]
        press(room, "ArrowRight")


def test_from_a_phone_the_other_pages_can_be_reached(prepared: Dashboard, browser: Browser) -> None:
    with visitor(browser, prepared.url) as one:
        one.page.set_viewport_size({"width": 390, "height": 844})
        show(one)
        one.page.get_by_test_id("stExpandSidebarButton").click()
        one.page.get_by_role("link", name=EN("page.history")).click()
        expect(one.page).to_have_url(re.compile("/history"))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1920, 1440, 1024, 390])
def test_nothing_is_cut_off(prepared: Dashboard, browser: Browser, language: str, width: int) -> None:
    height = 1080 if width == 1920 else 900
    with visitor(browser, prepared.url) as one:
        one.page.set_viewport_size({"width": width, "height": height})
        show(one, f"?lang={language}")
        expect(one.page.locator(".question")).to_have_text(words_of(language)("present.stage.question"))
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for part in (".name", ".card .sentence", ".chip"):
            for found in one.page.locator(part).all():
                assert found.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), (part, found.inner_text())
        if width >= 1024:  # the whole page is in one view
            foot = keyed(one.page, "present_foot").bounding_box()
            assert foot and foot["y"] + foot["height"] <= height
