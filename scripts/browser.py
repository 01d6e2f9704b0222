"""Find the Chromium that the browser tests drive, or install one; print its path.

First one that is already there, then the distribution's package, then Playwright's own download.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class NoBrowser(RuntimeError):
    """There is none and none could be installed; the message says what to do."""


def find_or_install() -> Path:
    """Path of a Chromium that starts; `CHROMIUM` in the environment names one of your own."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        return _checked(Path(chosen))
    browser = _find()
    for install in (_install_package, _install_playwrights):
        if browser is None:
            install()
            browser = _find()
    if browser is None:
        raise NoBrowser(
            "The browser tests need Chromium, and none could be found or installed: "
            "`sudo apt-get install chromium` brings it on Debian, "
            f"`{sys.executable} -m playwright install chromium` elsewhere."
        )
    return browser


def _checked(chosen: Path) -> Path:
    if not _starts(chosen):
        raise NoBrowser(f"CHROMIUM names {chosen}, which does not start: name another or unset it.")
    return chosen


def _find() -> Path | None:
    return next(filter(_starts, _candidates()), None)


def _candidates() -> Iterator[Path]:
    yield from (Path(found) for name in NAMES if (found := shutil.which(name)))
    yield from (Path(path) for path in MAC_PATHS)
    if playwrights := _playwrights():
        yield playwrights


def _playwrights() -> Path | None:
    """Where Playwright keeps its own Chromium, whether or not it has been downloaded yet."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _starts(browser: Path) -> bool:
    """Some distributions have a `chromium-browser` that only says where the real one is."""
    try:
        answer = subprocess.run([browser, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "Chrom" in answer.stdout


def _install_package() -> None:
    privilege = _privilege()
    if privilege is None or not shutil.which("apt-get"):
        return
    apt = [*privilege, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]
    _attempt(*apt, "update")
    _attempt(*apt, "install", "--yes", "--no-install-recommends", "chromium")


def _install_playwrights() -> None:
    _attempt(sys.executable, "-m", "playwright", "install", "chromium")


def _privilege() -> list[str] | None:
    """What to put before a command that needs root; None where that is not ours to do without asking."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def _attempt(*command: str) -> None:
    """Run it and let it talk on stderr. Whether it helped is seen by looking for the browser again."""
    print("Installing Chromium:", *command, file=sys.stderr, flush=True)
    subprocess.run(command, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    try:
        print(find_or_install())
    except NoBrowser as missing:
        sys.exit(str(missing))
