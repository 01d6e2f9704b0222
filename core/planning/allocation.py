"""Mixed precision: bits and sparsity matrix by matrix, of least predicted damage within a budget of bytes. No torch.

A knapsack over the sensitivity table. Each matrix has options with a damage and with bytes; on the convex hull of each
the steps of least damage per byte are taken first (the Lagrangian optimum), what room is then left is filled with
whatever still helps. Bytes are those of the packed file: the result is held against its whole plan, and never above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from compresslab.errors import BadInput
from compresslab.grids.affine import Affine
from compresslab.models.facts import BLOCK
from compresslab.models.packed_layout import file_bytes, stored_tensors
from compresslab.models.weights import Role, WeightPlan
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.layerwise import LayerMethod, Pruner, Quantizer
from compresslab.recipes.plan import Plan, make_plan
from compresslab.recipes.recipe import Recipe

BITS = Affine.widths
SPARSITIES = tuple(round(0.05 * n, 2) for n in range(19))  # 0 to 0.9
BITS_OF: dict[Role, str] = {"linear": "bits", "embedding": "embedding_bits", "head": "head_bits"}
TRIES = 12  # to fit the header, which grows and shrinks with what is in the file

Values = tuple[Any, ...]  # one for each step, None where it leaves the matrix alone


@dataclass(frozen=True)
class Option:
    """What the steps may make of one matrix."""

    values: Values
    bytes: int
    damage: float


def allocate(plan: Plan, table: SensitivityTable, budget: int) -> Recipe:
    """The plan's recipe with exceptions that meet the budget in bytes. Raises BadInput where none do."""
    recipe = _free(plan.recipe)
    options = {w.name: found for w in plan.facts.weights if (found := _options(w, recipe.steps, table))}
    roles = {weight.name: weight.role for weight in plan.facts.weights}
    if not options:
        raise BadInput("budget.nothing")
    fixed = file_bytes(plan.weights) - _payload(plan.weights, options)
    least = fixed + sum(hull[0].bytes for hull in options.values())
    room = budget - fixed
    for _ in range(TRIES):
        if room + fixed < least:
            break
        chosen = _fill(options, room)
        made = _with_exceptions(recipe, {name: option.values for name, option in chosen.items()}, roles)
        size = file_bytes(make_plan(made, plan.facts).weights)
        if size <= budget:
            return made
        room -= size - budget
    raise BadInput("budget.too_small", budget=budget / 1e6, least=least / 1e6)


def _free(recipe: Recipe) -> Recipe:
    """The recipe without what the allocation decides: earlier exceptions of the same settings, ratios of layers."""
    for step in recipe.steps:
        if not isinstance(step, LayerMethod):
            raise BadInput("budget.no_step", method=step.name)
    return recipe.replace(steps=tuple(_freed(step) for step in recipe.steps if isinstance(step, LayerMethod)))


def _freed(step: LayerMethod) -> LayerMethod:
    decided = {*BITS_OF.values(), "sparsity"}
    kept = {
        pattern: rest
        for pattern, values in step.overrides.items()
        if (rest := {name: value for name, value in values.items() if name not in decided})
    }
    free = isinstance(step, Pruner) and step.pattern is None
    return step.model_copy(update={"overrides": kept} | ({"ratios": "uniform"} if free else {}))


# -- options of a matrix ------------------------------------------------------------------------


def _options(weight: WeightPlan, steps: tuple[Any, ...], table: SensitivityTable) -> list[Option]:
    """Those on the lower convex hull of damage over bytes, the smallest first; none where no step touches it."""
    choices = [list(_choices(weight, step, table)) for step in steps]
    if all(value is None for some in choices for value, _, _ in some):
        return []
    found = []
    for combined in product(*choices):
        after = weight
        for _, _, own in combined:
            after = after if own is None else own.foresee_weight(after)
        size = sum(tensor.bytes for tensor in stored_tensors(after))
        found.append(Option(tuple(value for value, _, _ in combined), size, sum(damage for _, damage, _ in combined)))
    return _hull(found)


def _choices(
    weight: WeightPlan, step: LayerMethod, table: SensitivityTable
) -> Iterator[tuple[Any, float, LayerMethod | None]]:
    """Values of the setting that is allotted, the damage of each, and the settings that hold then."""
    own = step.for_weight(weight.name) if step.touches(weight) else None
    if own is None:
        yield None, 0.0, None
        return
    name, values = _allotted(own, weight.role)
    for value in values:
        tried = own.model_copy(update={name: value}) if name else own
        idle = tried.foresee_weight(weight) == weight
        damage = 0.0 if idle else table.damage(tried, weight)
        if damage is None:
            raise BadInput("budget.not_measured", method=step.name)
        yield value, damage, tried


def _allotted(own: LayerMethod, role: Role) -> tuple[str, Values]:
    if isinstance(own, Quantizer):
        return BITS_OF[role], own.widths(role)
    if isinstance(own, Pruner) and own.pattern is None:
        return "sparsity", SPARSITIES
    return "", (None,)


def _hull(options: list[Option]) -> list[Option]:
    hull: list[Option] = []
    for option in sorted(options, key=lambda o: (o.bytes, o.damage)):
        if hull and option.damage >= hull[-1].damage:
            continue
        while len(hull) > 1 and _gain(hull[-2], hull[-1]) <= _gain(hull[-2], option):
            hull.pop()
        hull.append(option)
    return hull


def _gain(small: Option, large: Option) -> float:
    """Damage that is spared by a byte more."""
    return (small.damage - large.damage) / max(1, large.bytes - small.bytes)


# -- the knapsack -------------------------------------------------------------------------------


def _fill(options: dict[str, list[Option]], room: int) -> dict[str, Option]:
    chosen = {name: hull[0] for name, hull in options.items()}
    left = room - sum(option.bytes for option in chosen.values())
    better = [(_gain(a, b), name, b) for name, hull in options.items() for a, b in pairwise(hull)]
    for _, name, option in sorted(better, key=lambda entry: -entry[0]):
        more = option.bytes - chosen[name].bytes
        if more <= left:  # one that does not fit is passed over; a later one of its matrix may still fit whole
            chosen[name], left = option, left - more
    return chosen


def _payload(weights: tuple[WeightPlan, ...], options: dict[str, list[Option]]) -> int:
    return sum(tensor.bytes for w in weights if w.name in options for tensor in stored_tensors(w))


# -- as a recipe --------------------------------------------------------------------------------


def _with_exceptions(recipe: Recipe, chosen: dict[str, Values], roles: dict[str, Role]) -> Recipe:
    steps = []
    for place, step in enumerate(recipe.steps):
        assert isinstance(step, LayerMethod)
        values = {name: found[place] for name, found in chosen.items() if found[place] is not None}
        blocks = {name: value for name, value in values.items() if BLOCK.search(name)}
        tables = {BITS_OF[roles[name]]: value for name, value in values.items() if name not in blocks}
        steps.append(_as_settings(step, blocks, tables))
    return recipe.replace(steps=tuple(steps))


def _as_settings(step: LayerMethod, blocks: dict[str, Any], tables: dict[str, Any]) -> LayerMethod:
    """What most matrices of the blocks get as the step's own setting, the others as exceptions."""
    setting = "sparsity" if isinstance(step, Pruner) else "bits"
    usual = Counter(blocks.values()).most_common(1)[0][0] if blocks else getattr(step, setting)
    exceptions = dict(step.overrides)
    for pattern, value in _patterns({name: v for name, v in blocks.items() if v != usual}, list(blocks)):
        exceptions[pattern] = exceptions.get(pattern, {}) | {setting: value}
    return step.parse(step.model_dump() | {setting: usual, "overrides": exceptions} | tables, step.name)


def _patterns(values: dict[str, Any], names: list[str]) -> Iterator[tuple[str, Any]]:
    """One pattern where a kind of matrix has one value in all blocks, or a block in all of its matrices; else names."""
    left = dict(values)
    for part in (1, 0):  # the kind of matrix, then the block
        for group in dict.fromkeys(block_and_part(name)[part] for name in values):
            members = [name for name in names if block_and_part(name)[part] == group]
            found = {left.get(name) for name in members}
            if len(members) > 1 and len(found) == 1 and None not in found:
                block, kind = block_and_part(members[0])
                yield (f"{block.rpartition('.')[0]}.*.{kind}" if part else f"{block}.*"), found.pop()
                left = {name: value for name, value in left.items() if name not in members}
    for name, value in left.items():
        yield ".".join(block_and_part(name)), value


def block_and_part(name: str) -> tuple[str, str]:
    """`layers.3` and `mlp.up_proj` of a weight's name."""
    block = BLOCK.search(name)
    assert block is not None
    return block.group(0).strip("."), name[block.end() :].removesuffix(".weight")
