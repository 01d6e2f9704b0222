"""Recipes side by side: one row a setting, those that differ first. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from dashboard.compare.members import Member
from dashboard.texts import Words

ABSENT = "–"


def settings_of(member: Member) -> dict[str, Any]:
    """Every setting by its path, defaults too; of a baseline only the model."""
    if member.variant == "baseline" or member.record is None:
        return {"model": member.model}
    return _flat(member.record.recipe)


def difference(members: Sequence[Member], words: Words, *, everything: bool = False) -> pd.DataFrame:
    """Rows of settings, a column a member; those alone in which runs differ, or a run from doing nothing, unless
    `everything`."""
    settings = [settings_of(member) for member in members]
    paths = list(dict.fromkeys(path for some in settings for path in some))
    rows = [[path, *(_text(some.get(path, ABSENT)) for some in settings)] for path in paths]
    runs = [place for place, member in enumerate(members, 1) if member.variant == "compressed"]
    alone = len(runs) == 1
    kept = [row for row in rows if everything or _differs(row, runs) or (alone and row[0].startswith("steps."))]
    return pd.DataFrame(kept, columns=[words("compare.setting"), *(member.name for member in members)])


def _differs(row: Sequence[str], runs: Sequence[int]) -> bool:
    """A baseline has no settings but its model."""
    return len({row[place] for place in runs}) > 1 or (row[0] == "model" and len(set(row[1:])) > 1)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {name: found for key, inner in value.items() for name, found in _flat(inner, f"{path}.{key}").items()}
    if path.removeprefix(".") in ("steps", "metrics") and isinstance(value, list):
        return {
            name: found
            for place, entry in enumerate(value, 1)
            for name, found in _flat(entry, f"{path}.{place}" if path == ".steps" else path).items()
        }
    return {path.removeprefix("."): value}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).splitlines()[0]
