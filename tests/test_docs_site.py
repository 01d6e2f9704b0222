"""The documentation site builds without a warning, asks the network for nothing, and every example on it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docs.examples import difference, examples, run

ROOT = Path(__file__).resolve().parent.parent
LOADED = re.compile(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"?([^\s\">]+)")
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if examples(page)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; strict: a broken link, a missing page and a page that no menu names are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.site
def test_the_site_loads_nothing_from_the_network(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"?([^\s\">]+)", page.read_text(encoding="utf-8")
        )
        assert not [address for address in loaded if address.startswith(("http:", "https:", "//"))], page


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a page may compress several models, beside whatever else the machine does
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_of_a_page_runs_and_prints_what_the_page_shows(page, tmp_path):
    answers = run(page, tmp_path)
    assert not [wrong for answer in answers if (wrong := difference(answer))]
    assert len(answers) == len(examples(page))
