"""A recipe, and its model, in a few words: "30% pruned, 4 bit". No Streamlit."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from compresslab_dashboard.texts import Words, words_of


def model_text(model: str) -> str:
    """The name of a model, of a folder its last part."""
    return Path(model).name if model.startswith(("/", "~", ".")) else model


def steps_text(recipe: dict[str, Any], words: Words) -> str:
    """From plain data, so that a recipe of another version is still named."""
    steps = [_step(name, values or {}, words) for entry in recipe.get("steps", []) for name, values in entry.items()]
    return words("step.and").join(steps) or words("step.none")


def phrase_of(steps: str, words: Words) -> str:
    """As `steps_text`, of the steps as the store has them: of thousands of runs many are alike."""
    return _phrase_of(steps, words.language)


@lru_cache(maxsize=4096)
def _phrase_of(steps: str, language: str) -> str:
    return steps_text({"steps": json.loads(steps)}, words_of(language))


def _step(name: str, values: dict[str, Any], words: Words) -> str:
    try:  # a pattern takes the place of the share
        said = words("step.n_of_m", **values) if values.get("n_of_m") else words.phrase(name, values)
    except (KeyError, ValueError):  # a recipe of another version: settings that the phrase can't tell
        return words.title(name)
    return words("step.mixed", step=said) if values.get("overrides") else said
