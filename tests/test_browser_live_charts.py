"""Charts that change while a job runs, in a real Chromium: never drawn anew, and what was zoomed stays zoomed."""

from __future__ import annotations

from contextlib import suppress

from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from playwright.sync_api import Page, TimeoutError, expect

from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import PATIENCE, StudioPage, keyed

UPDATES = 2
DRAGS, SOON = 5, 3_000  # a box is lost when the page moves under the mouse; milliseconds for one to be drawn
MANY = 30  # seeds: more points than are done before the browser is there
LONG = "distill_logits,steps=5000,batch=1;calibration,samples=8,sequence_length=32"  # it learns until the end

_MARK = "(key) => (document.querySelector(`.st-key-${key} .js-plotly-plot`).watched = true)"
_STATE = """(key) => {
  const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  const points = plot.data.reduce((sum, trace) => sum + trace.x.filter((x) => x !== null).length, 0);
  const { xaxis, yaxis } = plot._fullLayout;
  const free = Boolean(xaxis.autorange || yaxis.autorange);
  return { same: Boolean(plot.watched), points, free, ranges: [...xaxis.range, ...yaxis.range] };
}"""
# Both axes stand still where the box put them; axes that are free also move with what is learnt meanwhile.
_ZOOMED = "(now, before) => !now.free && now.ranges[0] !== before[0] && now.ranges[2] !== before[2]"


def zoom(page: Page, key: str) -> list[float]:
    """A box drawn with the mouse over the middle of the chart; returns the ranges of both axes then."""
    for _ in range(DRAGS):
        before = page.evaluate(_STATE, key)["ranges"]
        drag(page, key)
        with suppress(TimeoutError):
            page.wait_for_function(f"(before) => ({_ZOOMED})(({_STATE})('{key}'), before)", arg=before, timeout=SOON)
            ranges: list[float] = page.evaluate(_STATE, key)["ranges"]
            return ranges
    raise AssertionError("The box did not zoom both axes.")


def drag(page: Page, key: str) -> None:
    area = keyed(page, key).locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.25 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.75 * box["height"], steps=8)
    page.mouse.up()


def wait_for_more(page: Page, key: str) -> None:
    """An update that brought points."""
    before = page.evaluate(_STATE, key)["points"]
    page.wait_for_function(f"({_STATE})('{key}').points > {before}", timeout=PATIENCE)


def test_a_sweep_that_fills_leaves_the_zoom_alone(studio: StudioPage, dashboard: Dashboard) -> None:
    page, sweeps = studio.page, dashboard.workspace.sweeps
    recipe = Recipe.from_dict({"steps": ["quantize_rtn"], "evaluation": {"max_tokens": 1024, "max_questions": 10}})
    seeds = ",".join(str(seed) for seed in range(MANY))
    number = sweeps.submit(Sweep.over(recipe, ["quantize.bits=2,3,4,5,6,7", f"seed={seeds}"]))
    eventually(lambda: sum(row.done for row in sweeps.points(number)) >= 2, dashboard.log)
    page.goto(f"{studio.url}/explore?sweep={number}")
    expect(keyed(page, "chart_pareto").locator(".scatterlayer .point").first).to_be_attached(timeout=PATIENCE)
    page.evaluate(_MARK, "chart_pareto")
    zoomed = zoom(page, "chart_pareto")
    for _ in range(UPDATES):
        wait_for_more(page, "chart_pareto")
    after = page.evaluate(_STATE, "chart_pareto")
    sweeps.delete(number)  # the next test has the worker to itself
    assert after["same"], "the plot was made anew"
    assert after["ranges"] == zoomed


def test_a_run_that_learns_leaves_the_zoom_alone(studio: StudioPage) -> None:
    page = studio.page
    studio.open(LONG, live="off")
    studio.button("compress").click()
    drawn = "document.querySelector('.st-key-chart_loss .js-plotly-plot')?._fullLayout"
    page.wait_for_function(f"{drawn} && ({_STATE})('chart_loss').points > 4", timeout=PATIENCE)
    page.evaluate(_MARK, "chart_loss")
    zoomed = zoom(page, "chart_loss")
    for _ in range(UPDATES):
        wait_for_more(page, "chart_loss")
    after = page.evaluate(_STATE, "chart_loss")
    assert after["same"], "the plot was made anew"
    assert after["ranges"] == zoomed
    keyed(page, "chart_loss").locator(".nsewdrag").first.dblclick()
    wait_for_more(page, "chart_loss")
    low, high = page.evaluate(_STATE, "chart_loss")["ranges"][2:]
    assert high - low > zoomed[3] - zoomed[2], "a double click lets the axis follow again"
