"""YAML as people write it: 2:4 is a text and 1e-4 a number, where YAML 1.1 reads 124 and a text."""

from __future__ import annotations

import re
from typing import Any

import yaml

INT, FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """Numbers as in YAML 1.2 (core schema), all else as PyYAML has it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (INT, FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Longer ones count as a number with a fraction: Python refuses to read thousands of digits as a whole one.
_Loader.add_implicit_resolver(INT, re.compile(r"^[-+]?[0-9]{1,300}$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    FLOAT,
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)


def load(text: str) -> Any:
    """Plain data. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)
