"""The grids that there are: entry points `compresslab.grids`, ours and other packages' alike."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from compresslab.errors import BadInput
from compresslab.grids.affine import Affine
from compresslab.grids.grid import Grid
from compresslab.registry import Registry, subclass_of

GRIDS: Registry[type[Grid]] = Registry("compresslab.grids", subclass_of(Grid))


def described(name: str, bits: int, group_size: int, symmetric: bool, where: str) -> Grid:
    """The grid that the settings of a step, `where`, describe. Raises BadInput for bits that it does not have."""
    widths = GRIDS[name].widths
    if bits not in widths:
        raise BadInput("grid.bits", where=where, name=name, widths=widths, given=bits)
    return GRIDS[name].of(bits, group_size, symmetric)


def plain(grid: Grid) -> list[int] | dict[str, Any]:
    """As the packed file says it: an affine grid by its three numbers, others by name and fields."""
    own = {field.name: getattr(grid, field.name) for field in fields(grid) if field.init}  # type: ignore[arg-type]
    return [int(value) for value in own.values()] if grid.name == Affine.name else {"name": grid.name, **own}


def read(entry: list[int] | dict[str, Any]) -> Grid:
    """What `plain` made. Raises BadInput for a grid that is not known here."""
    if isinstance(entry, list):
        bits, group_size, symmetric = entry
        return Affine(bits, group_size, bool(symmetric))
    name = entry["name"]
    if name not in GRIDS:
        raise BadInput("grid.unknown", name=name)
    return GRIDS[name](**{key: value for key, value in entry.items() if key != "name"})
