"""Recipes side by side: one row a setting, those that differ first. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml
from compresslab_dashboard.compare.members import Member, unlike
from compresslab_dashboard.texts import Words

ABSENT = "–"


Path = tuple[int, str]  # the step's place, 0 for what is no step's; the setting, "" for the method itself


def settings_of(member: Member) -> dict[Path, Any]:
    """Every setting by its path, defaults too; of a baseline only the model."""
    if member.variant == "baseline" or member.record is None:
        return {(0, "model"): member.model}
    recipe = member.record.recipe
    found: dict[Path, Any] = {(0, "model"): member.model}
    for place, entry in enumerate(recipe.get("steps", []), 1):
        for name, values in entry.items():
            found |= {(place, ""): name} | {(place, key): value for key, value in (values or {}).items()}
    others = _flat({key: value for key, value in recipe.items() if key not in ("model", "steps")})
    return found | {(0, name): value for name, value in others.items()}


def difference(members: Sequence[Member], words: Words, *, everything: bool = False) -> pd.DataFrame:
    """Rows of settings, a column a member; those alone in which runs differ, or a run from doing nothing, unless
    `everything`."""
    settings = [settings_of(member) for member in members]
    paths = dict.fromkeys(path for some in settings for path in some)
    # The model, the steps in their order, the rest: what one recipe alone has stands beside its kin.
    ordered = sorted(paths, key=lambda path: (path != (0, "model"), path[0] or len(paths)))
    runs = [place for place, member in enumerate(members) if member.variant == "compressed"]
    rows = []
    for path in ordered:
        cells = [_text(some.get(path, ABSENT)) for some in settings]
        if everything or _differs(path, cells, runs):
            rows.append([_label(path, words), *cells])
    return pd.DataFrame(rows, columns=[words("compare.setting"), *unlike([member.name for member in members])])


def _differs(path: Path, cells: Sequence[str], runs: Sequence[int]) -> bool:
    """A baseline has no settings but its model; beside it, all that a single run does differs."""
    if path == (0, "model"):
        return len(set(cells)) > 1
    return len({cells[place] for place in runs}) > 1 or (len(runs) == 1 and path[0] > 0)


def _label(path: Path, words: Words) -> str:
    place, name = path
    return " · ".join(filter(None, [words("compare.step", number=place) if place else "", name]))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """{"evaluation": {"text": ...}} -> {"evaluation.text": ...}; a list of metrics by their names."""
    if isinstance(value, dict) and value:
        inner = [(f"{path}.{key}".removeprefix("."), entry) for key, entry in value.items()]
    elif path == "metrics" and isinstance(value, list):
        inner = [(path, entry) for entry in value]
    else:
        return {path: value}
    return {name: found for where, entry in inner for name, found in _flat(entry, where).items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).splitlines()[0]
