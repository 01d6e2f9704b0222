"""What one browser session looks at on the Layers page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from compresslab.recipes.method import Kind

Rows = Literal["layer", "part"]
Scope = Literal["matrix", "layer", "part"]
ROWS: tuple[Rows, ...] = get_args(Rows)
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass
class Looking:
    """`run` is None for the Studio's recipe; `jobs` are the close looks asked for, by what they look at."""

    run: str | None = None
    matrix: str = ""  # the matrix that is looked at closely
    rows: Rows = "layer"  # of the sensitivity map
    scope: Scope = "matrix"  # what an exception is made for
    trial: float | None = None  # the setting that was clicked on the sensitivity map
    kind: Kind | None = None  # of step whose sensitivity is drawn; None: the first that the recipe has
    jobs: dict[str, int] = field(default_factory=dict)

    def take(self, params: Mapping[str, str]) -> None:
        self.run = params.get("of") or None
        self.matrix = params.get("matrix", "")
        self.rows = next((rows for rows in ROWS if rows == params.get("rows")), self.rows)

    def params(self) -> dict[str, str]:
        told = {"of": self.run or "", "matrix": self.matrix, "rows": "" if self.rows == "layer" else self.rows}
        return {name: value for name, value in told.items() if value}
