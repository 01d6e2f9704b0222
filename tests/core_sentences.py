"""What the code may say to a person, read from its source: texts of several words, with {} for each value in them."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

REFUSALS = {"BadInput", "RunFailed"}
# What these are given reaches no page, or is a setting, which test_dashboard_texts has.
SILENT_CALLS = set(
    "setting print ArgumentParser add_argument basicConfig text execute exec_driver_sql literal_column".split()
)
CODE_TO_COPY = {"how_to_load"}
DECLARED = {"title", "summary", "paper", "label", "plain", "help"}  # of a class: test_dashboard_texts has them
HOLE = re.compile(r"{{\w*}}")  # left for a later .format


def spoken(files: Iterator[Path], only_refusals: bool = False) -> dict[str, str]:
    """Template -> where it stands."""
    found: dict[str, str] = {}
    for path in files:
        reader = _Reader(only_refusals)
        reader.visit(ast.parse(path.read_text(encoding="utf-8")))
        found |= {template: f"{path.name}:{line}" for template, line in reader.found.items()}
    return found


def words_in(files: Iterator[Path]) -> set[str]:
    """Every constant of one word: what may stand in a hole."""
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def template(node: ast.AST) -> str | None:
    """A text as str.format would take it; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = template(node.left), template(node.right)
        return None if left is None and right is None else (left or "{}") + (right or "{}")
    return None


def _is_phrase(text: str) -> bool:
    """At least two words, or one and a value."""
    return " " in text.strip() and re.search(r"[A-Za-z]{2}", text) is not None


class _Reader(ast.NodeVisitor):
    def __init__(self, only_refusals: bool) -> None:
        self.found: dict[str, int] = {}
        self._only_refusals = only_refusals
        self._refusing = not only_refusals

    def visit(self, node: ast.AST) -> None:
        text = template(node)
        if text is None:
            super().visit(node)
            return
        text = HOLE.sub("{}", text)
        if self._refusing and _is_phrase(text):
            self.found[text] = node.lineno  # type: ignore[attr-defined]
        for inner in _values(node):
            self.visit(inner)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """For developers."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in CODE_TO_COPY:
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        if not hasattr(builtins, _called(node.exc)):  # those are for developers
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        if name in SILENT_CALLS or _receiver(node) == "LOG":
            return
        before, self._refusing = self._refusing, self._refusing or name in REFUSALS
        self.generic_visit(node)
        self._refusing = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            target = getattr(statement, "target", None)
            if not (isinstance(target, ast.Name) and target.id in DECLARED):
                self.visit(statement)


def _values(node: ast.AST) -> list[ast.AST]:
    """What is put into the holes of a text."""
    if isinstance(node, ast.BinOp):
        return [
            part for side in (node.left, node.right) for part in ([side] if template(side) is None else _values(side))
        ]
    if isinstance(node, ast.JoinedStr):
        return [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
    return []


def _called(node: ast.AST | None) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return getattr(function, "attr", getattr(function, "id", ""))


def _receiver(node: ast.Call) -> str:
    return getattr(getattr(node.func, "value", None), "id", "")
