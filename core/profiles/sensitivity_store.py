"""Sensitivity tables on disk: one JSON file for a model and the texts that it was measured with. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from compresslab.files.atomic import keep
from compresslab.files.paths import home
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.models.source import Stamps, digest_beside_weights, weight_files
from compresslab.profiles.probes import Probes
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Event
from pydantic import ValidationError

WHOLE_BYTES = 2**26  # a file of weights that is no larger is read whole for the fingerprint
SAMPLES, SAMPLE_BYTES = 64, 65536  # read of a larger one, evenly spread


class Meter(Protocol):
    """What measures: the engine's Session."""

    def sensitivity(
        self, recipe: Recipe, probes: Probes, *, report: Callable[[Event], None], cancelled: Callable[[], bool]
    ) -> SensitivityTable: ...


def measure(
    meter: Meter, recipe: Recipe, probes: Probes, report: Callable[[Event], None], cancelled: Callable[[], bool]
) -> SensitivityTable:
    """Of the recipe's model and texts, kept for whoever estimates."""
    table = meter.sensitivity(recipe, probes, report=report, cancelled=cancelled)
    save(table, read_facts(recipe.model))
    return table


def about(recipe: Recipe) -> dict[str, Any]:
    """What a table depends on beside the model."""
    return {
        "calibration": recipe.calibration.model_dump(include={"text", "samples", "sequence_length"}),
        "evaluation": recipe.evaluation.model_dump(include={"text", "context_length"}),
        "seed": recipe.seed,
    }


def save(table: SensitivityTable, facts: ModelFacts) -> Path:
    """Under its name once it is whole. Raises RunFailed where the disk refuses it."""
    path = _folder(facts) / f"{_digest(table.about)}.json"
    keep(path, table.model_dump_json())
    return path


def find(recipe: Recipe, facts: ModelFacts) -> SensitivityTable | None:
    """The table for these weights and texts; else the newest of these weights; None where there is none."""
    files = sorted(_folder(facts).glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    exact = f"{_digest(about(recipe))}.json"
    for file in sorted(files, key=lambda file: file.name != exact):
        table = _read(file, file.stat().st_mtime_ns)
        if table is not None:
            return table
    return None


@lru_cache(maxsize=8)
def _read(file: Path, _changed: int) -> SensitivityTable | None:
    """None for a file that is damaged or of another version: it is measured anew."""
    try:
        return SensitivityTable.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _folder(facts: ModelFacts) -> Path:
    return home() / "sensitivity" / fingerprint(facts)


def fingerprint(facts: ModelFacts) -> str:
    """Sixteen hex digits over weights, config and tokenizer, the same wherever the folder lies.

    Files of weights up to WHOLE_BYTES are read whole. Of larger ones samples are, for an answer may not wait until all
    of it is read, and their time of change stands for the rest.
    """
    return _fingerprint(facts.folder, facts.name, facts.stamps)


@lru_cache(maxsize=32)
def _fingerprint(folder: Path, name: str, as_of: Stamps) -> str:
    digest = hashlib.sha256(digest_beside_weights(folder, as_of).encode())
    changed = {file: time for file, _, time in as_of}
    for file in weight_files(folder, name):
        size = file.stat().st_size
        digest.update(str(size).encode())
        with file.open("rb") as stream:
            if size <= WHOLE_BYTES:
                digest.update(stream.read())
                continue
            digest.update(str(changed.get(file.name)).encode())
            for sample in range(SAMPLES):
                stream.seek((size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
                digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
