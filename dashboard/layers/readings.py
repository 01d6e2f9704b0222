"""A plan and a sensitivity table -> rows and columns to be drawn. No Streamlit, no plotly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compresslab.models.packed_layout import stored_tensors
from compresslab.models.weights import WeightPlan
from compresslab.planning.allocation import block_and_part
from compresslab.profiles.probes import BITS, SPARSITIES
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.layerwise import LayerMethod, Pruner, Quantizer
from compresslab.recipes.plan import Plan
from compresslab_dashboard.layers.looking import Rows

MILLI = 1000  # nats are large: what is drawn is thousandths


@dataclass(frozen=True)
class Cell:
    """One matrix of a block, as the plan has it. `bits` are those on disk, scales and masks counted."""

    name: str
    layer: int
    part: str  # mlp.up_proj
    grid_bits: int | None
    bits: float
    sparsity: float


@dataclass(frozen=True)
class LayerBytes:
    """Bytes on disk; `layer` None is all that stands outside the blocks."""

    layer: int | None
    before: int
    after: int


@dataclass(frozen=True)
class Sensitivity:
    """Expected divergence in thousandths of a nat a token: [row][column]; None where nothing like it was measured."""

    kind: str  # of step
    by: Rows
    rows: tuple[str, ...]
    settings: tuple[float, ...]
    damage: tuple[tuple[float | None, ...], ...]
    worst: tuple[tuple[str, ...], ...]  # the matrix of the row that loses most there


def cells(plan: Plan) -> list[Cell]:
    """Every matrix of the blocks, in the order of the blocks, and in each as a token passes through them."""
    found = [_cell(weight) for weight in plan.weights if weight.role == "linear"]
    return sorted(found, key=lambda cell: (cell.layer, _turn(cell.part, plan)))


def _turn(part: str, plan: Plan) -> int:
    """Files list matrices by the alphabet; those that the family's anatomy does not name come last."""
    attention, mlp = plan.facts.anatomy.attention, plan.facts.anatomy.mlp
    order = (*attention.inputs, attention.output, *mlp.inputs, mlp.output)
    return order.index(part) if part in order else len(order)


def _cell(weight: WeightPlan) -> Cell:
    assert weight.layer is not None  # a matrix of a block
    bits = 8 * _bytes(weight) / weight.count
    part = block_and_part(weight.name)[1]
    return Cell(weight.name, weight.layer, part, weight.grid.bits if weight.grid else None, bits, weight.sparsity)


def layer_bytes(plan: Plan) -> list[LayerBytes]:
    """Layer by layer, and last what is outside of them. A layer that was taken out has nothing left."""
    before, after = _by_layer(plan.facts.weights), _by_layer(plan.weights)
    layers = sorted(layer for layer in before if layer is not None)
    return [LayerBytes(layer, before[layer], after.get(layer, 0)) for layer in [*layers, None]]


def _by_layer(weights: Iterable[WeightPlan]) -> dict[int | None, int]:
    found: dict[int | None, int] = {None: 0}
    for weight in weights:
        found[weight.layer] = found.get(weight.layer, 0) + _bytes(weight)
    return found


def _bytes(weight: WeightPlan) -> int:
    return sum(tensor.bytes for tensor in stored_tensors(weight))


def sensitivity(table: SensitivityTable, plan: Plan, step: LayerMethod, rows: Rows) -> Sensitivity:
    """What each layer, or each part in all layers, would lose were it the only one that the step touched."""
    name, settings = ("sparsity", SPARSITIES) if isinstance(step, Pruner) else ("bits", _bits_of(step))
    alike: dict[str, Any] = {"overrides": {}, "ignore": ()} | ({"n_of_m": ""} if name == "sparsity" else {})
    usual = step.model_copy(update=alike)
    groups: dict[str, list[WeightPlan]] = {}
    linear = [weight for weight in plan.facts.weights if weight.role == "linear"]
    for weight in sorted(linear, key=lambda w: (w.layer, _turn(block_and_part(w.name)[1], plan))):
        groups.setdefault(_row(weight, rows), []).append(weight)
    found = [[_damage(table, usual, name, value, group) for value in settings] for group in groups.values()]
    damage = tuple(tuple(total for total, _ in row) for row in found)
    worst = tuple(tuple(matrix for _, matrix in row) for row in found)
    return Sensitivity(step.kind, rows, tuple(groups), tuple(float(value) for value in settings), damage, worst)


def _bits_of(step: LayerMethod) -> tuple[int, ...]:
    """Those that were measured and that its grid has."""
    return tuple(bits for bits in BITS if not isinstance(step, Quantizer) or bits in step.widths("linear"))


def _row(weight: WeightPlan, rows: Rows) -> str:
    return str(weight.layer) if rows == "layer" else block_and_part(weight.name)[1]


def _damage(
    table: SensitivityTable, usual: LayerMethod, name: str, value: float, group: Sequence[WeightPlan]
) -> tuple[float | None, str]:
    """Of the group together, and the matrix that has most of it."""
    own = usual.model_copy(update={name: value})
    each = {weight.name: damage for weight in group if (damage := table.damage(own, weight)) is not None}
    if not each:
        return None, group[0].name
    return MILLI * sum(each.values()), max(each, key=lambda matrix: each[matrix])


def most_and_least(found: Sensitivity) -> list[tuple[str, float]]:
    """The rows that lose most and least where the settings are harshest; empty where nothing was measured."""
    column = harshest(found)
    lost = [(row, value) for row, values in zip(found.rows, found.damage, strict=True) if (value := values[column])]
    return [f(lost, key=lambda entry: entry[1]) for f in (max, min)] if lost else []


def harshest(found: Sensitivity) -> int:
    """Which column: most zeros, fewest bits."""
    return found.settings.index((max if found.kind == "prune" else min)(found.settings))
