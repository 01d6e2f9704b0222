"""Which state of its files a recipe was run on."""

import os
from pathlib import Path

import pytest
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.store import Store
from compresslab.workspace.runs import Runs

from tests.fake_session import record
from tests.tiny_models import write_checkpoint


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "own.txt").write_text("A text of one's own.")
    model = write_checkpoint(tmp_path / "m", "llama")
    return Recipe(model=str(model)).assign(f"evaluation.text={tmp_path / 'own.txt'}")


@pytest.mark.parametrize("file", ["m/config.json", "m/tokenizer.json", "m/model.safetensors", "own.txt"])
def test_a_file_that_was_written_again_is_another_one(recipe, tmp_path, file):
    before = named_files(recipe)
    assert named_files(recipe) == before and len(before) == 16
    os.utime(tmp_path / file, ns=(1, 1))
    assert named_files(recipe) != before


def test_settings_are_no_files(recipe):
    assert named_files(recipe.assign("seed=7").assign("quantize_rtn.bits=3")) == named_files(recipe)


@pytest.mark.parametrize("model", ["/no/such/folder", "nobody/has-this", "\x00"])
def test_what_is_not_here_has_no_state(model):
    assert named_files(Recipe(model=model)) == ""


def test_the_bundled_model_is_the_same_wherever_it_was_installed(monkeypatch):
    from compresslab.models import source
    from compresslab.recipes import named_files as module

    before = named_files(Recipe())
    later = lambda folder: tuple((name, size, time + 1) for name, size, time in source.stamps(folder))  # noqa: E731
    monkeypatch.setattr(module, "stamps", later)
    assert named_files(Recipe()) == before


def test_the_run_of_a_recipe_is_the_newest_on_its_files(recipe, tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    runs = Runs(store)
    assert runs.of(recipe) is None
    now = {"named_files": named_files(recipe)}
    store.save_run(record("first", recipe, created="2026-01-01T00:00:00Z").model_copy(update=now))
    store.save_run(record("second", recipe, created="2026-01-02T00:00:00Z").model_copy(update=now))
    store.save_run(record("draft", recipe, created="2026-01-03T00:00:00Z", stage="draft").model_copy(update=now))
    assert runs.of(recipe) == "second"
    os.utime(tmp_path / "own.txt", ns=(1, 1))
    assert runs.of(recipe) is None
    store.save_run(record("unknown", recipe, created="2025-01-01T00:00:00Z"))
    assert runs.of(recipe) == "unknown"
