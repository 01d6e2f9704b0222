"""The Studio as a person uses it: a page object for browser tests, the dashboard's benchmark and the pictures.

Controls are found by their keys, so that it works in every language; tests say what a person reads, by `EN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

from compresslab.models.source import BUNDLED
from compresslab_dashboard.texts import words_of
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests import patience

EN = words_of("en")
PATIENCE = int(1000 * patience.PATIENCE)  # milliseconds
Card = Literal["size", "quality", "speed"]
Pane = Literal["baseline", "compressed"]
CARDS: tuple[Card, ...] = ("size", "quality", "speed")
PANES: tuple[Pane, ...] = ("baseline", "compressed")

expect.set_options(timeout=PATIENCE)

# Calls read(), and keeps what it says whenever that is something new, at every frame that the page draws.
_OBSERVE = """(read) => {
  const look = new Function("return " + read);
  window.observed = [];
  const frame = () => {
    const now = look();
    if (now && now !== window.observed.at(-1)) window.observed.push(now);
    requestAnimationFrame(frame);
  };
  frame();
}"""

# No run of the script is under way, and nothing in the page has changed for so long.
_QUIET = """(milliseconds) => new Promise((done) => {
  let timer;
  const quiet = () => {
    const still = document.querySelector(".stApp")?.dataset.testScriptState === "notRunning";
    still ? (observer.disconnect(), done()) : wait();
  };
  const wait = () => (clearTimeout(timer), (timer = setTimeout(quiet, milliseconds)));
  const observer = new MutationObserver(wait);
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
  wait();
})"""
QUIET_MILLISECONDS = 300


class StudioPage:
    """`errors` is what the page complained of: exceptions and console errors."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        self.sentence = page.locator(".verdict h2")
        self.status = keyed(page, "status")
        self.progress = self.status.get_by_role("progressbar")
        self.prompt = keyed(page, "prompt").get_by_role("textbox")

    # -- coming and going -----------------------------------------------------------------

    def open(self, recipe: str = "", **params: str) -> None:
        """A visit; with a recipe in its short form, a visit by a link."""
        if recipe:
            params = {"model": BUNDLED, "recipe": recipe} | params
        query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
        self.page.goto(f"{self.url}/?{query}")
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        expect(self.button("compress")).to_be_visible(timeout=PATIENCE)
        expect(self.sentence).to_be_visible(timeout=PATIENCE)
        expect(keyed(self.page, "prompt_row")).to_be_visible()
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0)  # widgets that load late have their height

    def param(self, name: str, like: str = ".") -> str:
        """Of the address bar, which is written last: waits until the pattern `like` is found in it."""

        def said(url: str) -> str:
            return parse_qs(urlsplit(url).query).get(name, [""])[0]

        self.page.wait_for_url(lambda url: bool(re.search(like, said(url))))
        return said(self.page.url)

    # -- the controls ---------------------------------------------------------------------

    def button(self, key: str) -> Locator:
        return keyed(self.page, key).get_by_role("button").last

    def slider(self, setting: str) -> Locator:
        """Of a setting of a step, by its kind, as in quantize.bits."""
        return keyed(self.page, f"step.{setting}").get_by_role("slider")

    def switch(self, step: str) -> None:
        keyed(self.page, f"step.{step}.on").locator("label").first.click()

    def turn(self, key: str) -> None:
        """Open or close a section, and wait until it does not move any more."""
        section = keyed(self.page, key)
        section.locator("summary").first.click()
        section.evaluate("e => Promise.allSettled(e.getAnimations({ subtree: true }).map((one) => one.finished))")

    # -- what is shown --------------------------------------------------------------------

    def card(self, name: Card) -> Locator:
        return self.page.locator(".verdict article").nth(CARDS.index(name))

    def expect_stage(self, name: Card, stage: str) -> None:
        """The card carries that label and a number."""
        expect(self.card(name).locator(f".chip.{stage}")).to_be_visible(timeout=PATIENCE)
        expect(self.card(name).locator(".headline")).to_have_text(re.compile(r"\d"))

    def expect_status(self, key: str, **values: object) -> None:
        """The line below the verdict says this text of dashboard/texts."""
        expect(self.status).to_contain_text(EN(key, **values), timeout=PATIENCE)

    def expect_work(self, name: str) -> None:
        """The line below the verdict says what is done while that stage, method or metric works."""
        expect(self.status).to_contain_text(EN.stage(name), timeout=PATIENCE)

    def chart(self, name: str) -> Locator:
        """The drawing, once there is one."""
        return keyed(self.page, f"chart_{name}").locator("svg.main-svg").first

    def chart_words(self, name: str) -> Locator:
        """What a screen reader says of it."""
        return keyed(self.page, f"chart_{name}").get_by_role("img").first

    def pane(self, name: Pane) -> Locator:
        return self.page.locator(f".pane.{name}")

    def expect_texts(self) -> None:
        """Both are written to the end."""
        for name in PANES:
            expect(self.pane(name)).to_have_class(re.compile(r"\bdone\b"), timeout=PATIENCE)

    def observe(self, read: str) -> None:
        """From now on keep every new value of the JavaScript expression `read`."""
        self.page.evaluate(_OBSERVE, read)

    def observed(self) -> list[Any]:
        return list(self.page.evaluate("window.observed"))

    def _hear(self, message: ConsoleMessage) -> None:
        """Opened at a page, Streamlit looks for its server below that path too, in vain, before it finds it."""
        searching = re.search(r"/[a-z]+/_stcore/(health|host-config)$", message.location["url"])
        if message.type == "error" and not searching:
            self.errors.append(message.text)


def settle(page: Page) -> None:
    """Wait until the page has drawn all that it was going to draw: a person looks before the hand moves."""
    page.evaluate(_QUIET, QUIET_MILLISECONDS)


def cell(table: Locator, text: str) -> Locator:
    """Of a table. What is seen of it is painted; this is what a screen reader is told."""
    return table.locator("[role=gridcell]").filter(has_text=text).first


def keyed(page: Page, key: str) -> Locator:
    """What was drawn under this key."""
    return page.locator(f".st-key-{re.sub('[^A-Za-z0-9_-]', '-', key)}")


@contextmanager
def visitor(browser: Browser, url: str, **options: Any) -> Iterator[StudioPage]:
    """A browser session of its own; at its end the page must have had nothing to complain of."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    try:
        studio = StudioPage(context.new_page(), url)
        yield studio
        assert not studio.errors, f"The browser's console has errors: {studio.errors}"
    finally:
        context.close()
