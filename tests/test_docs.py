"""The written pages agree with the code: settings, examples, file tree."""

import re
from pathlib import Path

import compresslab
import pytest
from compresslab.models.facts import read_facts
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe

from scripts.write_docs import DOCS, PAGES
from scripts.write_figures import page as results_page
from scripts.write_figures import written

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `python -m scripts.write_docs`"


def test_the_python_page_has_every_public_name():
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    assert [name for name in compresslab.__all__ if not re.search(rf"(::: compresslab\.[\w.]*|`){name}\b", page)] == []


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_fits_the_bundled_model(file):
    recipe = Recipe.from_yaml(file.read_text(encoding="utf-8"))
    plan = make_plan(recipe, read_facts(recipe.model))
    assert plan.recipe.steps


def test_the_file_tree_names_what_is_there():
    tree = (DOCS / "architecture.md").read_text(encoding="utf-8").split("<!-- tree -->")[1]
    folder = ""
    for line in re.findall(r"^( *)(\S+)", tree, re.M):
        indent, name = line
        if name.startswith("```"):
            continue
        folder = name if not indent else folder
        path = ROOT / name if not indent else ROOT / folder / name
        assert path.exists(), f"the file tree names {path.relative_to(ROOT)}, which is not there"


def test_the_figures_are_the_measured_ones():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == written(readme), "run `python -m scripts.write_figures`"
    assert (DOCS / "results.md").read_text(encoding="utf-8") == results_page(), "run `python -m scripts.write_figures`"


def test_the_readme_is_short_enough_to_be_read():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_pictures_of_the_readme_are_there():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / picture).is_file(), f"{picture} is missing: run `python -m scripts.pictures`"
