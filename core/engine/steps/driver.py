"""The one way in which methods change matrices: what they share goes in, what becomes of them is written back.

A method gives a pure function from a group and its settings to a `SolvedGroup`. All else is here: which statistics are
taken, in which order; what is taken from memory instead; the threads; the fall-back; progress and cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Literal

from compresslab.engine.inputs.calibration import InputStatistics, Unfactorable
from compresslab.engine.models.device import threads_for
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight, round_to_nearest
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.groups import Group, M, SolvedGroup, by_settings
from compresslab.grids.grid import Grid
from compresslab.recipes.layerwise import Quantizer
from torch import Tensor

Solve = Callable[[Group, M], SolvedGroup]
Needs = Literal["nothing", "norms", "hessian"]  # of the statistics of inputs


def solve_groups(
    model: CompressedModel,
    chosen: Mapping[str, M],
    context: StepContext,
    solve: Solve[M],
    *,
    needs: Needs = "hessian",
    fall_back: Solve[M] | None = None,
    others: Callable[[Sequence[str]], Sequence[str]] = lambda names: (),
    together: bool = True,
    kept: Callable[[M], bool] = lambda own: True,
    input_bits: Callable[[M], int | None] = lambda own: None,
) -> None:
    """Change the chosen matrices, in forward order; with statistics, those of the blocks alone.

    Matrices that share an input and settings come `together`, or each by itself. Where the Hessian of an input can't be
    factorised, ten and a hundred times the dampening included, a group gets `fall_back`, and the record says so. What
    `solve` made of the same weights under the same settings and statistics is taken from memory, if it is `kept`;
    `others` names what it changes beside the group. Where `input_bits` says so, the matrices read their inputs in so
    many bits from then on. Raises Cancelled.
    """
    for names, inputs in _visits(model, list(chosen), context, needs):
        apart = (([name], chosen[name]) for name in names)
        for group, own in by_settings(names, chosen) if together else apart:
            changed = [*group, *others(group)]
            key = _key(model, changed, own, context) if kept(own) else None
            with threads_for(sum(model.weights[name].count for name in changed)):
                if key is None or not context.session.solutions.put_into(model, changed, key, context.job):
                    before = len(context.job.said)
                    solved = _solved(Group.of(model, group, inputs, context.check), own, solve, fall_back, context)
                    solved.put_into(model, group)
                    if key is not None:
                        context.session.solutions.keep(model, changed, key, tuple(context.job.said[before:]))
            bits = input_bits(own)
            if bits is not None:
                model.round_inputs(group, bits)


def _visits(
    model: CompressedModel, names: Sequence[str], context: StepContext, needs: Needs
) -> Iterator[tuple[Sequence[str], InputStatistics | None]]:
    if needs == "nothing":
        yield from (((name,), None) for name in context.each(names))
        return
    hessian = needs == "hessian"
    linear = [name for name in names if model.weights[name].role == "linear"]
    if not linear:
        return
    yield from context.with_statistics(model, linear, hessian=hessian, drift=hessian)


def _key(model: CompressedModel, changed: Sequence[str], own: M, context: StepContext) -> Hashable | None:
    """Names a solution by all that it is made from; None where none is kept."""
    if context.recipe.calibration.statistics == "sequential" or model.offloaded:
        return None
    settings = own.model_dump_json(exclude={"ignore", "overrides"})  # they have chosen the matrices already
    content = context.session.solutions.content(model, changed)
    return context.statistics_id, context.seed, own.name, settings, content


def _solved(group: Group, own: M, solve: Solve[M], fall_back: Solve[M] | None, context: StepContext) -> SolvedGroup:
    if fall_back is None:
        return solve(group, own)
    try:
        return solve(group, own)
    except Unfactorable:
        context.job.notice("solve.no_factor", weights=list(group.names))
        return fall_back(group, own)


# -- rounding -----------------------------------------------------------------------------


def round_each(
    model: CompressedModel,
    method: Quantizer,
    context: StepContext,
    rounder: Callable[[Tensor, Grid], QuantizedWeight],
) -> None:
    """Put every matrix that the method is meant for on its grid, by itself and without statistics. Raises Cancelled."""

    def solve(group: Group, own: Quantizer) -> SolvedGroup:
        grid = own.grid_for(model.weights[group.names[0]])
        return SolvedGroup(stored=None if grid is None else rounder(group.weight, grid))

    chosen = dict(model.chosen(method))
    solve_groups(model, chosen, context, solve, needs="nothing", together=False, kept=lambda own: False)


def round_outside(model: CompressedModel, chosen: Mapping[str, Quantizer]) -> None:
    """Word and output tables have no input that statistics were taken of: they are rounded to nearest."""
    for name, own in chosen.items():
        grid = own.grid_for(model.weights[name])
        if grid is not None and model.weights[name].role != "linear":
            model.quantize(name, round_to_nearest(model.weight(name), grid))


def rounded_to_nearest(group: Group, own: Quantizer) -> SolvedGroup:
    """What a quantizer falls back to."""
    return SolvedGroup(stored=round_to_nearest(group.weight, own.linear_grid))
