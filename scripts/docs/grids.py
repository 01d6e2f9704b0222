"""The grids that weights are rounded to, each with what it stores."""

from __future__ import annotations

import sys

from compresslab.grids.grid import Grid
from compresslab.grids.registry import GRIDS

from scripts.docs.markdown import code, docstring, page, table

ABOUT = """
Quantized weights lie on a **grid**: the few values that a code can stand for. Every row of a matrix is divided into
groups, and `weight = point(code) · scale(group)`. The grid says which points there are, how its parameters are fitted
and what is stored; rounding, the search for scales, HQQ, GPTQ and training through the rounding work with any of
them. `grid` among the settings of a [quantizing method](methods.md) chooses one."""
ROWS, COLUMNS, GROUP = 4096, 4096, 64


def grids() -> str:
    return page("Grids", ABOUT, *(_entry(grid) for grid in GRIDS.values()))


def _entry(grid: type[Grid]) -> str:
    about = docstring(sys.modules[grid.__module__])
    columns = ("bits", "bits per weight with groups of 64", "stored of each matrix")
    return (
        f"## `{grid.name}` {{ #{grid.name} }}\n\n{about}\n\n{docstring(grid)}\n\n"
        f"{table(columns, [_row(grid, bits) for bits in grid.widths])}"
    )


def _row(grid: type[Grid], bits: int) -> tuple[str, str, str]:
    parts = grid.of(bits, GROUP, symmetric=True).parts(ROWS, COLUMNS)
    stored = sum(part.count * (part.bits or 16) for part in parts)
    return str(bits), f"{stored / (ROWS * COLUMNS):g}", ", ".join(code(part.name) for part in parts)
