"""What people type for a setting, and what it stands for: one rule for flags, addresses, sweeps and forms.

The setting itself says how it is read. A text is what was typed, letter by letter: names of files hold anything. Lists
and mappings are JSON or YAML, a list also `a, b`. What can't be read stays a text, and the setting says what it takes.
"""

from __future__ import annotations

import json
from typing import Any

from compresslab.files import plain_yaml
from compresslab.files.reading import NotJson, parse_json
from compresslab.settings import Control

LONGEST_SCALAR = 400  # letters; a longer text is no number that anything here takes


def value_of(control: Control | None, text: str) -> Any:
    """The value that a text stands for; without a control a number, a flag or the text."""
    kind = "number" if control is None else control.kind
    if kind == "text":
        return text
    if kind == "list":
        return list_of(text)
    if kind == "mapping":
        return structure_of(text) if text.strip() else {}
    if control is not None and kind == "choice":
        return next((choice for choice in control.choices if str(choice) == text.strip()), text)
    return _scalar(text)


def text_of(value: Any) -> str:
    """What `value_of` reads again as this value."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _scalar(text: str) -> Any:
    if len(text) > LONGEST_SCALAR or text.lstrip().startswith(("[", "{")):
        return text
    value = _yaml(text)
    return value if isinstance(value, bool | int | float) else text


def list_of(text: str) -> list[Any]:
    """Of JSON or YAML in brackets, or parted by commas."""
    found = structure_of(text) if text.lstrip().startswith("[") else None
    return found if isinstance(found, list) else [part.strip() for part in text.split(",") if part.strip()]


def structure_of(text: str) -> Any:
    """A list or mapping; the text where it is neither."""
    try:
        value = parse_json(text)
    except NotJson:
        value = _yaml(text)
    return value if isinstance(value, list | dict) else text


def _yaml(text: str) -> Any:
    try:
        return plain_yaml.load(text)
    except plain_yaml.NotYaml:
        return text
