"""What a reload, a link, another page, another language and a second browser find: real Chromium, real worker."""

from __future__ import annotations

import re

import pytest
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, Locator, expect

from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import CARDS, EN, PATIENCE, StudioPage, cell, keyed, visitor
from tests.test_dashboard_pages import left_in_english

SMALL = ";evaluation,max_tokens=2048,max_questions=20;speed,repeats=2,new_tokens=8"
LONG = "distill_logits,steps=5000,batch=1;calibration,sequence_length=32" + SMALL  # minutes: someone must stop it


def start_long_job(studio: StudioPage) -> int:
    """Its number, once the student learns."""
    studio.open(LONG, live="off")
    studio.button("compress").click()
    studio.expect_work("distill_logits")
    return int(studio.param("job"))


def learns(studio: StudioPage) -> None:
    expect(studio.chart("loss")).to_be_visible()
    expect(studio.chart_words("loss")).to_have_accessible_name(re.compile("training loss goes from"))


def test_a_stopped_job_ends_soon_and_frees_the_device(studio: StudioPage, dashboard: Dashboard) -> None:
    job = start_long_job(studio)
    learns(studio)
    studio.button("stop").click()
    studio.expect_status("job.cancelled")
    assert dashboard.workspace.jobs.find(job).state == "cancelled"
    assert not list((dashboard.home / "runs").glob("*"))
    studio.open("quantize_rtn,bits=5" + SMALL)
    studio.expect_stage("quality", "draft")  # the worker has a hand free for the next one


def test_a_reload_in_mid_job_brings_the_same_view_and_the_job_goes_on(studio: StudioPage, dashboard: Dashboard) -> None:
    job = start_long_job(studio)
    before = dashboard.workspace.jobs.find(job)
    studio.page.reload()
    studio.wait_until_drawn()
    studio.expect_work("distill_logits")
    learns(studio)
    expect(keyed(studio.page, "step.distill.steps")).to_have_count(1)
    after = dashboard.workspace.jobs.find(job)
    assert after.state == "running" and after.started == before.started
    dashboard.workspace.jobs.cancel(job)
    studio.expect_status("job.cancelled")


def test_one_visitors_slider_never_stops_anothers_job(
    studio: StudioPage, dashboard: Dashboard, browser: Browser
) -> None:
    job = start_long_job(studio)
    with visitor(browser, dashboard.url) as other:
        other.open("quantize_rtn,bits=8" + SMALL)
        other.expect_stage("quality", "draft")  # beside the long one
        other.slider("quantize.bits").press("ArrowLeft")
        expect(other.page).to_have_url(re.compile("bits%3D7"))
        other.expect_stage("quality", "draft")
        studio.expect_work("distill_logits")
        assert dashboard.workspace.jobs.find(job).state == "running"
        studio.button("stop").click()
        studio.expect_status("job.cancelled")
        other.expect_stage("quality", "draft")


def test_a_link_shows_another_visitor_the_same_recipe(
    studio: StudioPage, dashboard: Dashboard, browser: Browser
) -> None:
    studio.open(live="off")
    studio.switch("prune")
    studio.slider("prune.sparsity").press("ArrowRight")
    studio.slider("quantize.bits").press("End")
    expect(studio.page).to_have_url(re.compile("sparsity%3D0.35.*bits%3D8"))
    with visitor(browser, dashboard.url) as other:
        other.page.goto(studio.page.url)
        other.wait_until_drawn()
        expect(other.slider("prune.sparsity")).to_have_value("0.35")
        expect(other.slider("quantize.bits")).to_have_value("8")
        expect(other.sentence).to_have_text(studio.sentence.inner_text())


def test_undo_takes_one_change_back_and_baseline_all(studio: StudioPage) -> None:
    studio.open("quantize_rtn,bits=6", live="off")
    sentence = studio.sentence.inner_text()
    studio.slider("quantize.bits").press("ArrowLeft")
    expect(studio.sentence).not_to_have_text(sentence)
    studio.button("undo").click()
    expect(studio.slider("quantize.bits")).to_have_value("6")
    expect(studio.sentence).to_have_text(sentence)
    studio.button("to_baseline").click()
    studio.expect_status("idle.baseline")
    expect(studio.button("compress")).to_be_disabled()
    studio.button("undo").click()
    expect(studio.sentence).to_have_text(sentence)


# -- the History -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished_run(dashboard: Dashboard) -> str:
    """A run that someone made elsewhere, on the command line for example; its id."""
    recipe = Recipe()
    settings = ("quantize_rtn.bits=3", "evaluation.max_tokens=2048", "evaluation.max_questions=20", "speed.repeats=2")
    for assignment in settings:
        recipe = recipe.assign(assignment)
    job = dashboard.workspace.submit(recipe)
    eventually(lambda: dashboard.workspace.jobs.find(job).over, dashboard.log)
    run_id = dashboard.workspace.jobs.find(job).run_id
    assert run_id is not None and dashboard.workspace.jobs.find(job).state == "done"
    return run_id


def row(studio: StudioPage) -> Locator:
    """Of the one run there is."""
    return cell(keyed(studio.page, "runs"), EN.phrase("quantize_rtn", {"bits": 3}))


def test_the_history_shows_a_run_and_opens_it_in_the_studio(studio: StudioPage, finished_run: str) -> None:
    studio.open(live="off")
    studio.page.get_by_role("link", name=EN("page.history")).click()
    expect(row(studio)).to_be_attached()
    keyed(studio.page, "runs").get_by_test_id("stDataFrame").click(position={"x": 12, "y": 52})  # the row's mark
    details = keyed(studio.page, "details")
    expect(details).to_contain_text(finished_run)
    expect(cell(details, EN.measurement("perplexity"))).to_be_attached()
    studio.button("open_run").click()
    for card in CARDS:
        studio.expect_stage(card, "final")
    expect(studio.slider("quantize.bits")).to_have_value("3")
    studio.param("run", f"^{finished_run}$")


def test_a_deleted_run_can_be_brought_back(studio: StudioPage, dashboard: Dashboard, finished_run: str) -> None:
    studio.page.goto(f"{studio.url}/history?run={finished_run}")
    studio.button("delete_run").click()
    expect(studio.page.get_by_text(EN("history.deleted", run=finished_run))).to_be_visible()
    expect(row(studio)).to_have_count(0)
    assert finished_run not in [run.run_id for run in dashboard.workspace.runs.all()]
    studio.button("undo_delete").click()
    expect(row(studio)).to_be_attached()
    assert finished_run in [run.run_id for run in dashboard.workspace.runs.all()]


# -- another language, the dark, bad addresses -----------------------------------------------------------------


def test_every_word_is_chinese_after_a_click(studio: StudioPage) -> None:
    zh = words_of("zh")
    studio.open(live="off")
    studio.page.get_by_role("radio", name="中文").click(force=True)
    expect(studio.button("compress")).to_have_text(zh("compress"))
    expect(studio.page.get_by_role("link", name=zh("page.studio"))).to_be_visible()
    studio.page.reload()
    studio.wait_until_drawn()
    expect(studio.button("compress")).to_have_text(zh("compress"))
    expect(studio.sentence).to_have_text(re.compile("[一-鿿]"))
    texts = studio.page.locator(".stApp").inner_text()
    left = left_in_english(texts, zh)
    assert not left, f"English was left: {left}"


def test_dark_mode_is_dark_to_the_last_card(dashboard: Dashboard, browser: Browser) -> None:
    with visitor(browser, dashboard.url, color_scheme="dark") as studio:
        studio.open(live="off")
        for surface in (".stApp", ".stSidebar", ".verdict .card"):
            assert brightness(studio, surface, "backgroundColor") < 60, surface
        for writing in (".verdict h2", ".verdict .headline", ".stSidebar label p"):
            assert brightness(studio, writing, "color") > 150, writing


def brightness(studio: StudioPage, selector: str, what: str) -> float:
    """Mean of red, green and blue, 0 to 255, of a colour as it is drawn."""
    colour = studio.page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{what}")
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize(
    ("recipe", "model", "said"),
    [
        ("quantize_rtn", "/no/such/folder", "/no/such/folder"),
        ("quantize_rtn,bits=99", "storyteller", "from 2 to 8"),
        ("shrink_by_magic", "storyteller", "shrink_by_magic"),
    ],
)
def test_an_address_that_makes_no_sense_gets_a_sentence(studio: StudioPage, recipe: str, model: str, said: str) -> None:
    studio.open(recipe, model=model)
    expect(studio.page.get_by_role("alert").filter(has_text=said).first).to_be_visible(timeout=PATIENCE)
    expect(studio.page.get_by_test_id("stException")).to_have_count(0)
