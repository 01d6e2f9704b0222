"""Signing in as a visitor sees it: a real Chromium, the real product, an OpenID Connect provider of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from compresslab.work.launcher import LOCAL
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.dashboard_server import Dashboard, free_port, started_dashboard
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, PERSON, Provider, running_provider
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, keyed

RIGHT = {"cookie_secret": "k" * 40, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def write_secrets(home: Path, provider: Provider, **other: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    places = {
        "redirect_uri": "http://localhost:{port}/oauth2callback",
        "server_metadata_url": f"{provider.url}/.well-known/openid-configuration",
    }
    lines = [f'{name} = "{value}"' for name, value in (RIGHT | places | other).items()]
    (home / "secrets.toml").write_text("\n".join(["[auth]", *lines]))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def shared(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home = tmp_path_factory.mktemp("home")
    write_secrets(home, provider)
    with started_dashboard(home) as dashboard:
        eventually(lambda: answers(dashboard.url), dashboard.log)
        yield dashboard


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def open_door(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    expect(button(page, "sign_in_go")).to_be_visible(timeout=PATIENCE)
    return page


def button(page: Page, key: str) -> Locator:
    return keyed(page, key).get_by_role("button")


def sign_in(page: Page) -> None:
    button(page, "sign_in_go").click()
    expect(button(page, "sign_out")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize("page_name", ["", "history", "compare", "present", "models"])
def test_a_stranger_sees_the_door_and_nothing_behind_it(
    shared: Dashboard, stranger: BrowserContext, page_name: str
) -> None:
    page = open_door(stranger, f"{shared.url}/{page_name}?lang=en")
    expect(page.get_by_role("heading", level=1)).to_have_text(EN("sign_in.product"))
    buttons = page.get_by_role("button").all_inner_texts()
    assert buttons == [EN("sign_in.go")]
    assert page.get_by_role("link").all_inner_texts() == ["Skip to main content"]  # Streamlit's own
    assert page.locator(".stSidebar, .stPlotlyChart").count() == 0
    assert "storyteller" not in page.locator("body").inner_text()


def test_the_door_speaks_the_language_of_the_browser_and_changes_it(shared: Dashboard, browser: Browser) -> None:
    zh = words_of("zh")
    context = browser.new_context(locale="zh-CN")
    try:
        page = open_door(context, shared.url)
        expect(button(page, "sign_in_go")).to_have_text(zh("sign_in.go"))
        page.get_by_role("radio", name="English").click(force=True)
        expect(button(page, "sign_in_go")).to_have_text(EN("sign_in.go"))
    finally:
        context.close()


def test_the_whole_way_in_and_out(shared: Dashboard, stranger: BrowserContext, provider: Provider) -> None:
    """By a link to a page: it is that page that opens, and the name is text and nothing else."""
    page = open_door(stranger, f"{shared.url}/history?lang=zh")
    sign_in(page)
    expect(page).to_have_url(re.compile(r"/history\?.*lang=zh"), timeout=PATIENCE)
    foot = keyed(page, "foot")
    expect(foot).to_contain_text(words_of("zh")("sign_in.who", name=PERSON["name"]))
    assert foot.locator("b").count() == 0
    assert provider.faults == []
    page.reload()
    expect(button(page, "sign_out")).to_be_visible(timeout=PATIENCE)
    second = stranger.new_page()  # the same browser
    second.goto(shared.url)
    expect(button(second, "sign_out")).to_be_visible(timeout=PATIENCE)
    button(page, "sign_out").click()
    expect(button(page, "sign_in_go")).to_be_visible(timeout=PATIENCE)
    assert "/leave" in provider.visits
    assert [cookie["name"] for cookie in stranger.cookies() if "user" in cookie["name"]] == []
    page.goto(f"{shared.url}/history")
    expect(button(page, "sign_in_go")).to_be_visible(timeout=PATIENCE)


def test_who_refuses_stays_outside(shared: Dashboard, stranger: BrowserContext, provider: Provider) -> None:
    page = open_door(stranger, f"{shared.url}/?lang=en")
    provider.refuses = True
    try:
        with page.expect_response(re.compile("/oauth2callback")):
            button(page, "sign_in_go").click()
        expect(button(page, "sign_in_go")).to_be_visible(timeout=PATIENCE)
        assert button(page, "sign_out").count() == 0
    finally:
        provider.refuses = False


def test_a_cookie_of_ones_own_making_opens_nothing(shared: Dashboard, stranger: BrowserContext) -> None:
    forged = '{"is_logged_in": true, "origin": "' + shared.url + '"}'
    stranger.add_cookies([{"name": "_streamlit_user", "value": forged, "url": shared.url}])
    open_door(stranger, shared.url)


def test_a_provider_that_is_away_is_said_so(browser: Browser, tmp_path: Path, provider: Provider) -> None:
    """And a file that is damaged while the server runs keeps the door shut."""
    home = tmp_path / "away"
    nobody = f"http://localhost:{free_port()}/.well-known/openid-configuration"
    write_secrets(home, provider, server_metadata_url=nobody)
    with started_dashboard(home) as dashboard:
        eventually(lambda: answers(dashboard.url), dashboard.log)
        context = browser.new_context(locale="en-US")
        try:
            page = open_door(context, dashboard.url)
            button(page, "sign_in_go").click()
            expect(page.get_by_role("alert")).to_have_text(EN("sign_in.silent"))
            (home / "secrets.toml").write_text("[auth\n")
            page.reload()
            expect(page.get_by_role("alert")).to_have_text(EN("sign_in.unset"), timeout=PATIENCE)
            expect(button(page, "sign_in_go")).to_have_count(0)
            assert "storyteller" not in page.locator("body").inner_text()
        finally:
            context.close()


def answers(url: str) -> bool:
    try:
        with LOCAL.open(f"{url}/_stcore/health", timeout=2):
            return True
    except OSError:
        return False
