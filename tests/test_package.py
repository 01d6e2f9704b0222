"""The product as people get it: built, installed into an environment of its own, and used from an empty folder.

No checkout is on its path, and what is installed can't be written to. Other packages are those of this environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from compresslab.store import Store
from playwright.sync_api import Browser, Response, expect

from tests.dashboard_server import running_dashboard
from tests.studio_page import PANES, StudioPage, visitor

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"core": "compresslab", "dashboard": "compresslab_dashboard", "assets": "compresslab_assets"}
BESIDE = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE")
LEFT_BY_PYTHON = ("__pycache__", "*.pyc", "*.egg-info")
RECIPE = """
model: storyteller
steps: [{quantize_rtn: {bits: 4}}]
metrics: [perplexity]
evaluation: {max_tokens: 4096}
"""
SMALL = "quantize_rtn,bits=3;evaluation,max_tokens=8192,max_questions=24;speed,repeats=2,new_tokens=8"
SMALL += ";recipe,runtime=torch"
TYPED = """
import compresslab
reveal_type(compresslab.evaluate(compresslab.quantize("storyteller", bits=4)))
reveal_type(compresslab.Recipe().model)
"""
SCRIPT = ("text/javascript", "application/javascript")
TYPES = {"js": SCRIPT, "css": ("text/css",), "html": ("text/html",), "json": ("application/json",)}
PAPER, INK, ORANGE = "rgb(251, 250, 246)", "rgb(34, 37, 42)", "rgb(185, 74, 16)"  # of the theme
STREAMS = "document.querySelector('.st-key-chart_quality [role=img]')?.ariaLabel"  # says in words what it draws


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and an empty folder to be in."""

    python: Path
    packages: Path
    work: Path

    def run(self, *words: object, **options: object) -> str:
        """What a command of this environment says. Fails where it fails."""
        command = [*powerless(), *map(str, words)]
        done = subprocess.run(command, cwd=self.work, env=clean(self.work), capture_output=True, text=True, **options)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def files(self) -> dict[str, tuple[int, int]]:
        """Everything in it, and when it was last written."""
        return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in self.packages.rglob("*")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for folder in (*NAMES, "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns(*LEFT_BY_PYTHON))
    for name in BESIDE:
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("environment")
    packages = install(wheel, folder)
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    with read_only(packages):
        yield Installed(folder / "bin" / "python", packages, tmp_path_factory.mktemp("empty"))


def install(wheel: Path, folder: Path) -> Path:
    """Into a new environment; its folder of packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    return next((folder / "lib").glob("python*/site-packages"))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    places = [folder, *folder.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    for place, mode in modes.items():
        place.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for place, mode in modes.items():
            place.chmod(mode)


def powerless() -> list[str]:
    """Root writes wherever it likes; where these tests run as root, what they start does not."""
    return ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 and shutil.which("setpriv") else []


def clean(home: Path) -> dict[str, str]:
    """The environment of a person who has no checkout."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COMPRESSLAB_"))}
    return inherited | {"COMPRESSLAB_HOME": str(home / "home")}


def sources() -> dict[str, Path]:
    """What has to be in the wheel, by its name there."""
    files = {}
    for folder, name in NAMES.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                files[f"{name}/{file.relative_to(ROOT / folder).as_posix()}"] = file
    return files


def test_the_wheel_has_all_of_the_three_folders_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        left_out = sources().keys() - inside
        assert not left_out, (
            f"[tool.setuptools.package-data] in pyproject.toml names no kind that these are: {left_out}"
        )
        assert inside == sources().keys()


def test_the_sdist_has_what_the_wheel_is_made_of_and_no_half_of_the_tests(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    folders = {name.partition("/")[0] for name in inside if "/" in name}
    assert set(BESIDE) <= inside
    assert folders == {*NAMES, "compresslab.egg-info"}


def test_a_command_runs_as_the_script_and_as_the_module(installed: Installed) -> None:
    recipe = installed.work / "recipe.yaml"
    recipe.write_text(RECIPE)
    before = installed.files()
    said = installed.run(installed.python.with_name("compresslab"), "run", recipe)
    assert "perplexity" in said.lower()
    assert len(Store(f"sqlite:///{installed.work / 'home' / 'store.db'}").runs(10)) == 1
    version = installed.run(installed.python, "-m", "compresslab", "--version")
    code = "import compresslab; print(compresslab.__file__, compresslab.__version__)"
    place, number = installed.run(installed.python, "-c", code).split()
    assert Path(place).is_relative_to(installed.packages)
    assert version.split()[-1] == number
    assert installed.files() == before


def test_the_studio_streams_writes_and_wears_its_theme(installed: Installed, browser: Browser) -> None:
    before = installed.files()
    command = [*powerless(), str(installed.python), "-m", "compresslab"]
    home, options = installed.work / "studio", {"cwd": installed.work, "env": clean(installed.work)}
    wrong: list[str] = []
    with running_dashboard(home, command, **options) as dashboard, visitor(browser, dashboard.url) as studio:
        studio.page.on("response", lambda answer: wrong.extend(what_is_wrong(answer)))
        open_in_the_theme(studio)
        studio.observe(STREAMS)
        studio.button("compress").click()
        studio.expect_stage("quality", "final")
        expect(studio.chart("quality")).to_be_visible()
        assert len({text for text in studio.observed() if "tokens" in text}) >= 2, "The chart did not grow."
        studio.button("generate").click()
        studio.expect_texts()
        assert all(len(studio.pane(name).locator(".body").inner_text()) > 40 for name in PANES)
    assert not wrong
    assert installed.files() == before


def open_in_the_theme(studio: StudioPage) -> None:
    studio.open(SMALL, live="off")
    expect(studio.page.locator(".stApp")).to_have_css("background-color", PAPER)
    expect(studio.page.locator(".stApp")).to_have_css("color", INK)
    expect(studio.button("compress")).to_have_css("background-color", ORANGE)


def what_is_wrong(answer: Response) -> Iterator[str]:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    suffix = Path(answer.url.partition("?")[0]).suffix.removeprefix(".")
    if answer.status >= 400 or kind not in TYPES.get(suffix, (kind,)):
        yield f"{answer.status} {kind} {answer.url}"


def test_who_writes_a_script_is_told_its_types(wheel: Path, tmp_path: Path) -> None:
    install(wheel, tmp_path / "environment")  # alone: what types other packages have is not asked
    script = tmp_path / "script.py"
    script.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--python-executable", tmp_path / "environment" / "bin" / "python", script]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "list[compresslab.records.results.Measurement]" in said
    assert 'note: Revealed type is "str"' in said.replace("builtins.", "")
