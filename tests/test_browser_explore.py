"""Explore in a real Chromium with a real worker: a grid is launched, drawn live, clicked through, and found again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, Locator, Page, expect

from tests.dashboard_server import Dashboard, slowed
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, StudioPage, keyed, settle, visitor

SMALL = ";evaluation,max_tokens=1024,max_questions=10;calibration,samples=8,sequence_length=64"
SETTINGS = ("evaluation.max_tokens=1024", "evaluation.max_questions=10", "calibration.samples=8")
POINTS = 12  # of what a first visit finds chosen


def small() -> Recipe:
    recipe = Recipe.from_dict({"steps": ["quantize_rtn"]})
    for assignment in SETTINGS:
        recipe = recipe.assign(assignment)
    return recipe


@pytest.fixture(scope="module")
def finished(dashboard: Dashboard) -> int:
    """A sweep of four points that someone ran before; its number."""
    sweeps = dashboard.workspace.sweeps
    number = sweeps.submit(Sweep.over(small(), ["quantize.bits=2,3,4", "quantize.group_size=64", "seed=0"]))
    eventually(lambda: all(row.state == "done" for row in sweeps.points(number)), dashboard.log)
    return number


@pytest.fixture
def explore(dashboard: Dashboard, finished: int, studio: StudioPage) -> Iterator[StudioPage]:
    """Opened on that sweep."""
    go(studio, sweep=str(finished))
    yield studio


def go(studio: StudioPage, **params: str) -> None:
    studio.page.goto(f"{studio.url}/explore?" + "&".join(f"{name}={value}" for name, value in params.items()))
    expect(keyed(studio.page, "sweep_status")).to_be_visible(timeout=PATIENCE)


def chart(page: Page, name: str) -> Locator:
    return keyed(page, f"chart_{name}")


def marks(page: Page, name: str) -> Locator:
    return chart(page, name).locator(".scatterlayer .trace .point")


def click_mark(studio: StudioPage, name: str, number: int) -> None:
    """As a hand does: plotly hears a click only where it has seen the pointer come."""
    expect(marks(studio.page, name).nth(number)).to_be_attached(timeout=PATIENCE)
    settle(studio.page)
    marks(studio.page, name).nth(number).scroll_into_view_if_needed()
    box = marks(studio.page, name).nth(number).bounding_box()
    assert box is not None
    studio.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(studio.page.locator(".hoverlayer .hovertext").first).to_be_attached()
    studio.page.mouse.down()
    studio.page.mouse.up()


def test_a_grid_is_launched_and_drawn_while_it_is_measured(studio: StudioPage, dashboard: Dashboard) -> None:
    studio.open("quantize_rtn" + SMALL, live="off")
    studio.page.get_by_role("link", name=EN("page.explore")).click()
    launch = studio.button("launch")
    expect(launch).to_have_text(EN("explore.launch", count=POINTS))
    status = keyed(studio.page, "sweep_status")
    with slowed(dashboard.child):
        launch.click()
        expect(status).to_contain_text("running", timeout=PATIENCE)
        expect(studio.page).to_have_url(re.compile("sweep=1"))
        expect(marks(studio.page, "pareto").first).to_be_attached(timeout=PATIENCE)
        studio.page.evaluate("document.querySelector('.st-key-chart_pareto .js-plotly-plot').kept = true")
    expect(status).to_contain_text(EN("explore.count.done", count=POINTS), timeout=2 * PATIENCE)
    expect(chart(studio.page, "heat").locator("[role=img]")).to_have_accessible_name(
        re.compile(f"{POINTS} of {POINTS} points measured")
    )
    still = studio.page.evaluate("document.querySelector('.st-key-chart_pareto .js-plotly-plot').kept")
    assert still, "the chart was drawn anew while it filled"
    assert dashboard.workspace.runs.all() == []  # drafts are no runs of the history


def test_a_click_chooses_a_point_that_a_reload_keeps_and_the_studio_opens(explore: StudioPage) -> None:
    click_mark(explore, "pareto", 0)
    place = explore.param("point", r"\d")
    bits = EN.phrase("quantize_rtn", {"bits": 2 + int(place)})
    expect(keyed(explore.page, "point")).to_contain_text(bits)
    explore.page.reload()
    expect(keyed(explore.page, "point")).to_contain_text(bits, timeout=PATIENCE)
    explore.button("open_point").click()
    explore.wait_until_drawn()
    expect(explore.slider("quantize.bits")).to_have_value(str(2 + int(place)))


def test_a_line_can_be_chosen_too(explore: StudioPage) -> None:
    click_mark(explore, "parallel", 2)
    expect(explore.page).to_have_url(re.compile(r"point=\d"), timeout=PATIENCE)


def test_every_chart_says_what_it_shows(explore: StudioPage) -> None:
    for name in ("heat", "pareto", "parallel"):
        expect(chart(explore.page, name).locator("[role=img]")).to_have_accessible_name(re.compile(r"\d"))


def test_a_link_shows_a_colleague_the_same_in_chinese(
    explore: StudioPage, finished: int, dashboard: Dashboard, browser: Browser
) -> None:
    zh = words_of("zh")
    with visitor(browser, dashboard.url) as other:
        go(other, sweep=str(finished), lang="zh", point="1")
        expect(keyed(other.page, "sweep_status")).to_contain_text(zh("explore.count.done", count=3))
        expect(keyed(other.page, "point")).to_contain_text("3 位")


def test_nothing_is_wider_than_a_phone(explore: StudioPage, finished: int) -> None:
    explore.page.set_viewport_size({"width": 390, "height": 844})
    go(explore, sweep=str(finished), point="0")
    expect(marks(explore.page, "pareto").first).to_be_attached(timeout=PATIENCE)
    assert explore.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_sweep_that_is_stopped_goes_on(studio: StudioPage, dashboard: Dashboard) -> None:
    sweeps = dashboard.workspace.sweeps
    number = sweeps.submit(Sweep.over(small(), ["quantize.bits=5,6,7,8", "seed=3,4,5,6,7"]))
    with slowed(dashboard.child):
        go(studio, sweep=str(number))
        studio.button("stop_sweep").click()
    expect(keyed(studio.page, "sweep_status")).to_contain_text("stopped", timeout=PATIENCE)
    assert not [row for row in sweeps.points(number) if row.state == "queued"]
    with slowed(dashboard.child):
        studio.button("resume_sweep").click()
        expect(studio.button("stop_sweep")).to_be_visible(timeout=PATIENCE)
    sweeps.delete(number)
