"""Layers in a real Chromium with a real worker: a part is clicked, looked at closely, and gets settings of its own."""

from __future__ import annotations

import re

import pytest
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Locator, Page, expect

from tests.dashboard_server import Dashboard, slowed
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, StudioPage, keyed, settle
from tests.test_dashboard_sizes import save_table

FEW = ";calibration,samples=8,sequence_length=64"
CHARTS = ("map", "bytes")


def go(studio: StudioPage, recipe: str, **params: str) -> None:
    query = {"model": "storyteller", "recipe": recipe + FEW, "live": "off"} | params
    studio.page.goto(f"{studio.url}/layers?" + "&".join(f"{name}={value}" for name, value in query.items()))
    expect(keyed(studio.page, "chart_map").locator("svg.main-svg").first).to_be_visible(timeout=PATIENCE)


def told(page: Page, chart: str) -> Locator:
    """What a screen reader hears of a chart."""
    return keyed(page, f"chart_{chart}").get_by_role("img").first


def click_cell(page: Page, across: float, down: float, chart: str = "chart_map") -> None:
    """As a hand does, at these shares of the map, once nothing moves any more."""
    settle(page)
    box = keyed(page, chart).locator(".nsewdrag").first.bounding_box()
    assert box is not None
    x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    expect(page.locator(".hoverlayer .hovertext").first).to_be_attached()
    page.mouse.down()
    page.mouse.up()


def test_a_part_is_clicked_looked_at_and_given_bits_of_its_own(studio: StudioPage) -> None:
    go(studio, "quantize_rtn,bits=3")
    page = studio.page
    click_cell(page, 0.99, 0.99)  # the last layer, the last part
    expect(page).to_have_url(re.compile("matrix=model.layers.7"), timeout=PATIENCE)
    studio.button("look").click()
    expect(told(page, "histogram")).to_have_accessible_name(re.compile(r"layers\.7\..*3 bit"), timeout=2 * PATIENCE)
    expect(told(page, "heads")).to_have_accessible_name(re.compile(r"\d ?%"))
    keyed(page, "exception-step-quantize").get_by_role("combobox").click()
    page.get_by_role("option", name=EN("layers.bits", bits=8)).click()
    expect(page).to_have_url(re.compile(r"overrides.*layers\.7"), timeout=PATIENCE)
    expect(keyed(page, "editor")).to_contain_text(EN("layers.exceptions", count=1))
    studio.button("undo").click()
    expect(keyed(page, "editor")).to_contain_text(EN("layers.exceptions", count=0))
    expect(told(page, "histogram")).to_have_accessible_name(re.compile("3 bit"))  # seen before: found again


def test_a_tap_that_follows_a_movement_at_once_is_a_click(studio: StudioPage) -> None:
    """The pointer comes to rest, is pressed before plotly has looked under it, and let go right after."""
    go(studio, "quantize_rtn,bits=3")
    settle(studio.page)
    keyed(studio.page, "chart_map").locator(".nsewdrag").first.evaluate(
        """async (layer) => {
          const box = layer.getBoundingClientRect();
          const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
          const at = (kind, by, target) => target.dispatchEvent(new MouseEvent(kind, {
            bubbles: true, cancelable: true, view: window, clientX: box.right - 5 + by, clientY: box.bottom - 5 }));
          at("mousemove", -2, layer);
          at("mousemove", 0, layer);
          at("mousedown", 0, layer);
          await pause(60);
          at("mouseup", 0, document.querySelector(".dragcover") ?? layer);
        }"""
    )
    expect(studio.page).to_have_url(re.compile("matrix=model.layers.7"), timeout=PATIENCE)


def test_the_recipe_edited_here_is_the_studios(studio: StudioPage) -> None:
    go(studio, "quantize_rtn,bits=5")
    keyed(studio.page, "exception-step-quantize").get_by_role("combobox").click()
    studio.page.get_by_role("option", name=EN("layers.bits", bits=2)).click()
    expect(studio.page).to_have_url(re.compile("overrides"), timeout=PATIENCE)
    studio.page.get_by_role("link", name=EN("page.studio")).click()
    studio.wait_until_drawn()
    expect(studio.slider("quantize.bits")).to_have_value("5")
    studio.param("recipe", "overrides")


def test_every_chart_says_what_it_shows_in_chinese_too(studio: StudioPage) -> None:
    go(studio, "quantize_rtn", lang="zh")
    for name in CHARTS:
        expect(told(studio.page, name)).to_have_accessible_name(re.compile(r"[\u4e00-\u9fff].*\d|\d.*[\u4e00-\u9fff]"))
    expect(keyed(studio.page, "chart_map")).to_contain_text(words_of("zh")("layers.map"))


def test_a_model_that_was_not_measured_is_measured_from_here(studio: StudioPage, dashboard: Dashboard) -> None:
    go(studio, "quantize_rtn")
    with slowed(dashboard.child):
        studio.button("measure_sensitivity").click()
        expect(studio.button("stop_sensitivity")).to_be_visible(timeout=PATIENCE)
        studio.button("stop_sensitivity").click()
    expect(studio.button("measure_sensitivity")).to_be_visible(timeout=PATIENCE)
    jobs = dashboard.workspace.jobs.open
    eventually(lambda: not any(job.kind == "sensitivity" for job in jobs()), dashboard.log)


def test_nothing_is_wider_than_a_phone(studio: StudioPage) -> None:
    studio.page.set_viewport_size({"width": 390, "height": 844})
    go(studio, "quantize_rtn")
    assert studio.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_click_on_what_a_layer_can_bear_gives_it_bits_of_its_own(
    studio: StudioPage, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last, because the model is measured from here on."""
    monkeypatch.setenv("COMPRESSLAB_HOME", str(dashboard.home))
    save_table(dashboard.workspace)
    go(studio, "quantize_rtn,bits=4")
    page = studio.page
    expect(told(page, "sensitivity")).to_have_accessible_name(re.compile("layer 7 is expected to lose most"))
    click_cell(page, 0.9, 0.99, "chart_sensitivity")  # the last layer at most bits
    give = studio.button("give")
    expect(give).to_have_text(EN("layers.give", pattern="layers.7.*", value="6 bit"))
    give.click()
    expect(page).to_have_url(re.compile(r"overrides.*layers\.7"), timeout=PATIENCE)
    expect(give).to_be_disabled()
    expect(told(page, "map")).to_have_accessible_name(re.compile("4.25 to 6.25 bits"))
    page.get_by_role("link", name=EN("page.studio")).click()
    studio.wait_until_drawn()
    page.get_by_role("link", name=EN("page.layers")).click()
    expect(keyed(page, "editor")).to_contain_text(EN("layers.exceptions", count=1), timeout=PATIENCE)
