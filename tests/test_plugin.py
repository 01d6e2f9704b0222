"""Another package, installed as people install one: it is found wherever ours are; a broken one is told, left out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BROKEN = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "broken-lab"
version = "1.0"

[project.entry-points."compresslab.methods"]
prune_broken = "broken_lab:PruneBroken"

[tool.setuptools]
py-modules = ["broken_lab"]
"""
DASHBOARD = """
import json, sys
from pathlib import Path
import compresslab_dashboard
from streamlit.testing.v1 import AppTest

app = AppTest.from_file(Path(compresslab_dashboard.__file__).parent / "app.py", default_timeout=240)
app.query_params["recipe"] = "prune_ria,sparsity=0.5"
app.run()
app.session_state["measured_on"] = True
app.run()
json.dump({
    "problems": [error.message for error in app.exception],
    "methods": [option for box in app.selectbox for option in box.options],
    "added": [button.key for button in app.button if button.key and button.key.startswith("add.")],
    "sliders": [widget.key for kind in (app.slider, app.number_input) for widget in kind],
    "warnings": [warning.value for warning in app.warning],
}, sys.stdout)
"""
RUN = """
import json, sys
import compresslab

small = compresslab.prune("storyteller", method="ria", sparsity=0.5)
recipe = compresslab.Recipe.from_dict(
    {"metrics": [{"near_choice": {"first": 3}}], "evaluation": {"max_tokens": 1024, "context_length": 128}}
)
found = [measured.model_dump(mode="json") for measured in compresslab.evaluate(small, recipe)]
json.dump({"sparsity": small.sparsity(), "measured": found}, sys.stdout)
"""
DOCS = """
from scripts.docs import settings
print(settings.methods(), settings.metrics())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that both packages are installed in."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "examples" / "plugin", folder / "ria")
    (folder / "broken").mkdir()
    (folder / "broken" / "pyproject.toml").write_text(BROKEN)
    (folder / "broken" / "broken_lab.py").write_text("import a_module_that_is_nowhere\n")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    sources = (str(folder / "ria"), str(folder / "broken"))
    command = (sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), *sources)
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "site"


@pytest.fixture
def python(installed, tmp_path):
    """`python(*arguments)`: what it prints, with both packages on the path."""
    paths = os.pathsep.join(filter(None, (str(installed), str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, "COMPRESSLAB_HOME": str(tmp_path)}

    def run(*arguments):
        command = (sys.executable, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=280)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_command_line_lists_it_and_tells_what_is_broken(python):
    listed = json.loads(python("-m", "compresslab", "methods", "--json"))
    assert "prune_ria" in [method["name"] for method in listed["methods"]]
    assert "near_choice" in [metric["name"] for metric in listed["metrics"]]
    (broken,) = listed["left_out"]
    assert (broken["name"], broken["package"]) == ("prune_broken", "broken-lab")
    assert "a_module_that_is_nowhere" in broken["reason"]


def test_the_dashboard_offers_it_and_tells_what_is_broken(python):
    shown = json.loads(python("-c", DASHBOARD))
    assert not shown["problems"]
    assert "RIA" in shown["methods"]
    assert "add.prune_ria" in shown["added"]
    assert {"step.prune.sparsity", "metric.near_choice.first"} <= set(shown["sliders"])
    (warning,) = (text for text in shown["warnings"] if "broken-lab" in text)
    assert "nowhere" in warning


def test_it_runs(python):
    done = json.loads(python("-c", RUN))
    assert 0.45 < done["sparsity"] < 0.55
    (measured,) = done["measured"]
    assert measured["metric"] == "near_choice" and 0.2 < measured["value"] <= 1


def test_its_own_tests_hold_it_to_the_contract(installed, python):
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(installed.parent / "ria" / "tests"))


def test_the_docs_describe_it(python):
    pages = python("-c", DOCS)
    assert "prune_ria" in pages and "near_choice" in pages and "Zhang" in pages
