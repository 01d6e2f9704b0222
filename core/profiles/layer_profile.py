"""What a recipe made of every weight matrix, looked at closely: histograms, zeros, bits, and what heads are worth.

Plain data, kept as one JSON file for a model and what decides its weights. No torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from compresslab.files.atomic import keep
from compresslab.files.paths import home
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.profiles.sensitivity_store import fingerprint
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Event
from compresslab.records.record import Record
from pydantic import ValidationError


class MatrixProfile(Record):
    """One matrix. Counts are of equally wide bins from `-reach` to `reach`, what lies beyond in the outermost."""

    name: str
    layer: int
    reach: float
    before: list[int]  # of the baseline; empty where the matrix has no counterpart in it
    after: list[int]  # of the weights that are not zero
    zeros: int
    bits: int | None  # of the grid; None where the weights are as precise as the checkpoint's
    error: float | None  # |after - before|^2 / |before|^2; None where their shapes differ

    @property
    def sparsity(self) -> float:
        return self.zeros / max(1, self.zeros + sum(self.after))


class LayerProfile(Record):
    model: str
    weights_hash: str  # of the compressed model that was looked at
    matrices: list[MatrixProfile]
    heads: list[list[float]]  # layer, head: mean energy that it adds to the baseline, on the calibration text
    seconds: float

    def matrix(self, name: str) -> MatrixProfile | None:
        return next((matrix for matrix in self.matrices if matrix.name == name), None)


class Profiler(Protocol):
    """What looks: the engine's Session."""

    def profile(
        self, recipe: Recipe, run_id: str | None, *, report: Callable[[Event], None], cancelled: Callable[[], bool]
    ) -> LayerProfile: ...


def measure(
    profiler: Profiler,
    recipe: Recipe,
    run_id: str | None,
    report: Callable[[Event], None],
    cancelled: Callable[[], bool],
) -> LayerProfile:
    """Look at the recipe's weights, those of the run where it is given, and keep what was seen."""
    profile = profiler.profile(recipe, run_id, report=report, cancelled=cancelled)
    keep(_file(recipe, read_facts(recipe.model)), profile.model_dump_json())
    return profile


def find(recipe: Recipe) -> LayerProfile | None:
    """None where nobody looked yet, or at other weights of this name."""
    try:
        return LayerProfile.model_validate_json(_file(recipe, read_facts(recipe.model)).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _file(recipe: Recipe, facts: ModelFacts) -> Path:
    """Named by what decides the weights; how they are measured is no part of it."""
    data = recipe.to_dict()
    decisive = {name: data[name] for name in ("steps", "calibration", "seed", "dtype")}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
    return home() / "layers" / f"{fingerprint(facts)}-{digest}.json"
