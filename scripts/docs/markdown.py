"""Small pieces of Markdown that the written pages share."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
WRITTEN = "<!-- Written by `python -m scripts.write_docs`: change the code that it is written from. -->"


def page(title: str, about: str, *parts: str) -> str:
    return "\n\n".join([WRITTEN, f"# {title}", about.strip(), *(part.strip() for part in parts if part)]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Empty where there are no rows."""
    lines = [_line(row) for row in rows]
    return "\n".join([_line(columns), "|---" * len(columns) + "|", *lines]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def linked(text: str) -> str:
    """With every arXiv number as a link."""
    return ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def docstring(thing: Any) -> str:
    """Its own, not an inherited one, as Markdown: a list gets the empty lines around it that Markdown wants."""
    text = inspect.cleandoc(vars(thing).get("__doc__") or "")
    lists = re.compile(r"\n((?:- .*(?:\n  .*)*\n?)+)")
    return linked(lists.sub(lambda found: f"\n\n{found[1].rstrip()}\n\n", text).strip())


def annotated(owner: type) -> list[tuple[str, str, str, str]]:
    """Name, type, default and comment of every field that a class declares itself, as its source has them."""
    source = inspect.getsource(owner)
    lines = source.splitlines()
    (found,) = ast.parse(source).body
    assert isinstance(found, ast.ClassDef)
    fields = [node for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    return [
        (
            ast.unparse(node.target),
            ast.unparse(node.annotation),
            ast.unparse(node.value) if node.value else "",
            comment(lines[(node.end_lineno or node.lineno) - 1]),
        )
        for node in fields
    ]


def comment(line: str) -> str:
    """What stands behind the last `#` of a line of code."""
    return line.partition("  # ")[2].strip()
