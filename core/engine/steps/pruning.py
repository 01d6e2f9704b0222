"""Pruning by a score: the walk that its methods share, and how much of each matrix goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.masks import lowest_in_groups, lowest_in_rows, smallest, smallest_overall
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.driver import Needs, solve_groups
from compresslab.engine.steps.gptq import mended
from compresslab.engine.steps.groups import Group, SolvedGroup
from compresslab.models.weights import zeroed_in_row
from compresslab.recipes.layerwise import Pruner
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor

Floats = NDArray[np.float64]
Score = Callable[[Group], Tensor]  # of every weight of one matrix, [rows, d]: the lowest go first
P = TypeVar("P", bound=Pruner)
OUTLYING = 5.0  # times the mean score of its block: OWL, arXiv:2310.05175, section 4, their M
SPREAD = 0.08  # how far a block's share may lie from the mean: their lambda
MOST = 0.99  # share of a block that may go


def prune_by_score(model: CompressedModel, method: Pruner, context: StepContext, score: Score, *, inputs: bool) -> None:
    """Zero the weights of lowest score, which needs statistics of the `inputs` or does not.

    By layer, by N:M pattern, or by one threshold for all; where the method says so, each row by itself. What remains
    makes up for what is gone, if the method is to. Raises Cancelled.
    """
    chosen = shares(model, method, context, score, inputs=inputs)
    if all(own.idle for own in chosen.values()):
        return
    together = [name for name in chosen if method.ratios == "global" and method.shares(name)]
    masks = _overall(model, method, context, together, score, inputs=inputs)

    def solve(group: Group, own: Pruner) -> SolvedGroup:
        mask = masks.pop(group.names[0], None)
        return pruned(group, own, mask_of(score(group), own, group.earlier) if mask is None else mask)

    mending = any(own.mend for own in chosen.values())
    scored = inputs and len(masks) < len(chosen)
    needs: Needs = "hessian" if mending else "norms" if scored else "nothing"
    kept = method.ratios != "global"  # a mask of all matrices together is no matter of one matrix' settings
    solve_groups(model, chosen, context, solve, needs=needs, together=False, kept=lambda own: kept and own.mend > 0)


def pruned(group: Group, own: Pruner, mask: Tensor) -> SolvedGroup:
    """The group under this mask and its earlier zeros."""
    if group.earlier is not None:
        mask = mask | group.earlier
    if not own.mend:
        return SolvedGroup(mask=mask)
    return mended(group, mask, group.weight, dampening=own.dampening, steps=own.mend)


def magnitude(group: Group) -> Tensor:
    """|W|: [rows, d]."""
    return group.weight.abs()


def magnitude_times_norm(group: Group) -> Tensor:
    """|W| times the root mean square of the input that each weight meets: [rows, d]."""
    return group.weight.abs() * group.statistics.norms


def _overall(
    model: CompressedModel, method: Pruner, context: StepContext, names: list[str], score: Score, *, inputs: bool
) -> dict[str, Tensor]:
    """Masks by one threshold for all of these matrices."""
    if not names or method.sparsity == 0:
        return {}
    found = _statistics(context) if inputs else {}
    scores = {name: score(Group.of(model, [name], found.get(name), context.check)) for name in names}
    return smallest_overall(scores, method.sparsity, model.masks)


def _statistics(context: StepContext) -> dict[str, InputStatistics]:
    """Of the baseline, whatever the mode: what all matrices must be compared by is known before any is changed."""
    taken = context.input_statistics(hessian=False).items()
    return {name: statistics for group, statistics in taken for name in group}


def mask_of(score: Tensor, method: Pruner, earlier: Tensor | None) -> Tensor:
    """What goes of one matrix."""
    if method.pattern is not None:
        return lowest_in_groups(score, *method.pattern, earlier)
    if method.by_row:
        return lowest_in_rows(score, zeroed_in_row(score.shape[1], method.sparsity), earlier)
    return smallest(score, method.sparsity, earlier)


def shares(model: CompressedModel, method: P, context: StepContext, score: Score, *, inputs: bool) -> dict[str, P]:
    """Every matrix that the method is meant for with its settings, the sparsity of its block among them."""
    chosen = dict(model.chosen(method))
    names = [name for name in chosen if method.ratios == "outliers" and method.shares(name)]
    if not names or method.idle:
        return chosen
    share = _outlier_shares(model, method, context, names, score, inputs=inputs)
    context.job.remember("prune.shares", shares=[f"{value:.3f}" for value in share.values()])
    own = {name: chosen[name].model_copy(update={"sparsity": share[model.weights[name].layer]}) for name in names}
    return chosen | own


def _outlier_shares(
    model: CompressedModel, method: Pruner, context: StepContext, names: list[str], score: Score, *, inputs: bool
) -> dict[int | None, float]:
    """OWL: blocks with more outlying scores keep more, `SPREAD` at most away from the mean, which is the target."""
    found = _statistics(context) if inputs else {}
    scores: dict[int | None, list[Tensor]] = {}
    for name in context.each(names):
        group = Group.of(model, [name], found.get(name), context.check)
        scores.setdefault(model.weights[name].layer, []).append(score(group).flatten())
    blocks = {layer: torch.cat(parts) for layer, parts in scores.items()}
    outlying = np.array([float((block > OUTLYING * block.mean()).float().mean()) for block in blocks.values()])
    sizes = np.array([block.numel() for block in blocks.values()])
    reach = float(np.ptp(outlying))
    kept = outlying * (2 * SPREAD / reach if reach > 0 else 0.0)
    return dict(zip(blocks, _levelled(-kept, sizes, min(method.sparsity, MOST)).tolist(), strict=True))


def _levelled(shares: Floats, sizes: Floats, mean: float) -> Floats:
    """The shares moved up or down by one amount, none below 0 or above `MOST`, so that together they come to `mean`."""

    def moved(by: float) -> Floats:
        return np.clip(shares + by, 0.0, MOST)

    def missing(by: float) -> float:
        return float(np.average(moved(by), weights=sizes)) - mean

    return moved(brentq(missing, -shares.max(), MOST - shares.min()))
