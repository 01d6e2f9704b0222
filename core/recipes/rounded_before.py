"""What must be said of a recipe whose baseline was itself rounded before it came here: a GGUF file's."""

from __future__ import annotations

from pathlib import Path

from compresslab.grids.affine import Affine
from compresslab.messages import Message
from compresslab.recipes.plan import Plan

BLOCK = 32  # weights that share a scale
GRIDS = {"Q4_0": Affine(4, BLOCK, True), "Q4_1": Affine(4, BLOCK, False), "Q5_0": Affine(5, BLOCK, True)}
GRIDS |= {"Q5_1": Affine(5, BLOCK, False), "Q8_0": Affine(8, BLOCK, True)}


def rounded_before(plan: Plan) -> list[Message]:
    """To what the baseline is rounded; and where the recipe's own grid has a place for every value of it already."""
    facts = plan.facts
    if not facts.rounded_to:
        return []
    name, kinds = Path(facts.name).name, list(facts.rounded_to)
    found = [Message("gguf_in.rounded", name=name, kinds=kinds, bits=8 * facts.file_bytes / facts.parameters)]
    asked = {weight.affine for weight in plan.weights if weight.role == "linear" and weight.affine is not None}
    same = next((kind for kind in kinds if kind in GRIDS and any(_holds(grid, GRIDS[kind]) for grid in asked)), None)
    return [*found, Message("gguf_in.same_grid", name=name, kind=same)] if same else found


def _holds(grid: Affine, other: Affine) -> bool:
    """Whether every value on the other grid is one on this, whatever the weights."""
    divides = grid.group_size > 0 and other.group_size % grid.group_size == 0
    return divides and grid.bits >= other.bits and (other.symmetric or not grid.symmetric)
