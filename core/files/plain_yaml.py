"""YAML as people write it, by the core schema of YAML 1.2: 2:4 and 2001-01-01 are texts, 1e-4 a number, 010 is ten.

What is read comes from strangers, by files, flags and addresses. A text is bounded in length and depth; aliases, which
let a short text stand for gigabytes, anchors and tags are refused.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from compresslab.messages import Message, plain

LONGEST = 64 * 2**10  # letters
DEEPEST = 16  # lists and mappings within each other; a recipe takes seven
TAG = "tag:yaml.org,2002:"


class NotYaml(ValueError):
    """`reason` says why; `line`, counted from 1, is where, if that is known."""

    def __init__(self, reason: Message, line: int | None = None) -> None:
        super().__init__(str(reason))
        self.reason, self.line = reason, line


class _Loader(yaml.SafeLoader):
    """Plain scalars by the core schema, and nothing that stands for more than it says."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise NotYaml(Message("yaml.alias"), line)
        if getattr(event, "tag", None) is not None:
            raise NotYaml(Message("yaml.tag"), line)
        if self.depth == DEEPEST:
            raise NotYaml(Message("yaml.too_deep", most=DEEPEST), line)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _whole(loader: _Loader, node: Any) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.yaml_implicit_resolvers = {}
# Longer ones count as a number with a fraction: Python refuses to read thousands of digits as a whole one.
for _kind, _pattern, _first in (
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^([-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300})$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(TAG + _kind, re.compile(_pattern), _first)
_Loader.add_constructor(f"{TAG}int", _whole)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than a text, and repeats what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = {
    first: [*_Dumper.yaml_implicit_resolvers.get(first, []), *_Loader.yaml_implicit_resolvers.get(first, [])]
    for first in {**_Dumper.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}
}


def dump(data: Any, **style: Any) -> str:
    """A text that `load` reads as the same data, in the order in which it is given."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, **style))


def load(text: str, longest: int = LONGEST) -> Any:
    """Plain data. Raises NotYaml."""
    if len(text) > longest:
        raise NotYaml(Message("yaml.too_long", most=longest))
    try:
        return yaml.load(text, Loader=_Loader)
    except NotYaml:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise NotYaml(plain(error.problem or error.context), None if mark is None else mark.line + 1) from None
    except yaml.reader.ReaderError as error:
        raise NotYaml(plain(error.reason)) from None
    except Exception:  # noqa: BLE001 of some texts the library raises what it says nothing of, a ValueError of "\\UFFFFFFFF"
        raise NotYaml(Message("yaml.unreadable")) from None
