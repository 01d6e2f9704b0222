"""Shared by all tests: a data folder of their own, so that nobody's runs are touched."""

import sys

import pytest
from compresslab.models.anatomy import Heads
from compresslab.models.facts import ModelFacts
from compresslab.models.families import FAMILIES
from compresslab.models.weights import WeightPlan

for folder in ("core", "dashboard"):  # the repository is on the path here, which it is nowhere else
    sys.modules[folder] = None  # type: ignore[assignment] # whoever imports by the folder's name fails

pytest_plugins = ["tests.chromium", "tests.commands", "tests.dashboard_server", "tests.exported", "tests.tiny_models"]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COMPRESSLAB_STORE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def tiny_facts(tmp_path) -> ModelFacts:
    """Facts of a model that exists on paper alone: for plans and estimates."""
    weights = (
        WeightPlan("model.embed_tokens.weight", (64, 32), "F16", "embedding"),
        WeightPlan("model.layers.0.mlp.up_proj.weight", (96, 32), "F16", "linear", 0),
        WeightPlan("model.layers.1.mlp.up_proj.weight", (96, 32), "F16", "linear", 1),
        WeightPlan("model.norm.weight", (32,), "F16", "other"),
    )
    return ModelFacts(
        name="paper",
        folder=tmp_path,
        family="llama",
        layers=2,
        hidden_size=32,
        vocab_size=64,
        context_length=128,
        tied=True,
        weights=weights,
        file_bytes=0,
        anatomy=FAMILIES["llama"].anatomy,
        heads=Heads(count=4, kv_count=2, dim=8),
        mlp_width=96,
        activation="silu",
    )
