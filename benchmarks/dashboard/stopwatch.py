"""Time as the page sees it: from an event, or from the navigation, to the first frame that shows what is awaited."""

from __future__ import annotations

from playwright.sync_api import Page

# Milliseconds from the next event of that kind to the first frame that shows each of what is waited for.
_STOPWATCH = """([event, awaited]) => {
  let begin = null;
  addEventListener(event, () => (begin ??= performance.now()), { capture: true, once: true });
  const open = Object.entries(awaited).map(([name, read]) => [name, new Function("return " + read)]);
  window.waited = {};
  const frame = () => {
    while (begin !== null && open.length && open[0][1]()) window.waited[open.shift()[0]] = performance.now() - begin;
    window.finished = open.length === 0;
    if (open.length) requestAnimationFrame(frame);
  };
  window.finished = false;
  requestAnimationFrame(frame);
}"""
# Set up before anything of the page runs: its clock starts with the navigation.
_ARRIVAL = """(() => {
  const look = new Function("return " + %r);
  const frame = () => (look() ? (window.arrived = performance.now()) : requestAnimationFrame(frame));
  requestAnimationFrame(frame);
})()"""


def arm(page: Page, event: str, awaited: dict[str, str]) -> None:
    """Start at the next `event`; `awaited` are JavaScript expressions, in the order in which they become true."""
    page.evaluate(_STOPWATCH, [event, awaited])


def read(page: Page) -> dict[str, float]:
    """Seconds, in the order in which they were awaited."""
    page.wait_for_function("window.finished")
    return {name: milliseconds / 1000 for name, milliseconds in page.evaluate("window.waited").items()}


def expect_arrival(page: Page, read: str) -> None:
    """Of the next navigation: begin with it and wait for the JavaScript expression `read`."""
    page.add_init_script(_ARRIVAL % read)


def arrival(page: Page) -> float:
    """Seconds since the navigation."""
    page.wait_for_function("window.arrived")
    return float(page.evaluate("window.arrived")) / 1000
