"""Pruning by a score: the walk that its methods share, and how much of each matrix goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from compresslab.engine.inputs.calibration import Group, InputStatistics
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.least_squares import refine
from compresslab.engine.solvers.masks import lowest_in_groups, lowest_in_rows, smallest, smallest_overall
from compresslab.engine.steps.context import StepContext
from compresslab.recipes.layerwise import Pruner
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor

Floats = NDArray[np.float64]
P = TypeVar("P", bound=Pruner)
OUTLYING = 5.0  # times the mean score of its block: OWL, arXiv:2310.05175, section 4, their M
SPREAD = 0.08  # how far a block's share may lie from the mean: their lambda
MOST = 0.99  # share of a block that may go


def prune_by_score(model: CompressedModel, method: Pruner, context: StepContext, *, inputs: bool) -> None:
    """Zero the weights of lowest score: the magnitude, times the norm of the input that it meets if `inputs`.

    By layer, by N:M pattern, or by one threshold for all; where inputs count, each row by itself. Raises Cancelled.
    """
    chosen = shares(model, method, context, inputs=inputs)
    if all(own.idle for own in chosen.values()):
        return
    masks = _overall(model, method, context, list(chosen), inputs=inputs) if method.ratios == "global" else {}
    for names, statistics in _visits(model, chosen, context, inputs=inputs and not masks):
        for name in names:
            scored_by = statistics if inputs else None
            make = partial(_prune, model, name, chosen[name], masks.pop(name, None), scored_by, statistics, context)
            if chosen[name].mend and method.ratios != "global":  # of the settings and statistics alone, and slow
                context.solve(model, [name], chosen[name], make)
            else:
                make()


def _prune(
    model: CompressedModel,
    name: str,
    own: Pruner,
    mask: Tensor | None,
    scored_by: InputStatistics | None,
    statistics: InputStatistics | None,
    context: StepContext,
) -> None:
    before = model.weight(name)
    if mask is None:
        mask = mask_of(_score(before, scored_by), own, model.masks.get(name))
    model.prune(name, mask)
    mend([name], [before], model, own, statistics, context)


def mend(
    names: Sequence[str],
    before: Sequence[Tensor],
    model: CompressedModel,
    method: Pruner,
    statistics: InputStatistics | None,
    context: StepContext,
) -> None:
    """Let what remains of matrices that share an input make up for what they lost, if the method is to."""
    if not method.mend or statistics is None:
        return
    now = [model.weight(name) for name in names]
    refined = refine(
        torch.cat(now),
        torch.cat(list(before)),
        torch.cat([model.masks[name] for name in names]),
        statistics.hessian,
        drift=statistics.drift,
        dampening=method.dampening,
        steps=method.mend,
        check=context.check,
    )
    model.settle(dict(zip(names, refined.split([len(weight) for weight in now]), strict=True)))


def _visits(
    model: CompressedModel, chosen: Mapping[str, Pruner], context: StepContext, *, inputs: bool
) -> Iterator[tuple[Group, InputStatistics | None]]:
    """The matrices, with the statistics of their inputs where those are needed."""
    mending = any(own.mend for own in chosen.values())
    if inputs or mending:
        yield from context.with_statistics(model, list(chosen), hessian=mending, drift=mending)
    else:
        yield from (((name,), None) for name in context.each(list(chosen)))


def _overall(
    model: CompressedModel, method: Pruner, context: StepContext, names: list[str], *, inputs: bool
) -> dict[str, Tensor]:
    """Masks by one threshold for all matrices."""
    found = _statistics(context) if inputs else {}
    scores = {name: _score(model.weight(name), found.get(name)) for name in names}
    return smallest_overall(scores, method.sparsity, model.masks)


def _statistics(context: StepContext) -> dict[str, InputStatistics]:
    """Of the baseline, whatever the mode: what all matrices must be compared by is known before any is changed."""
    taken = context.input_statistics(hessian=False).items()
    return {name: statistics for group, statistics in taken for name in group}


def mask_of(score: Tensor, method: Pruner, earlier: Tensor | None) -> Tensor:
    """What goes of one matrix."""
    if method.pattern is not None:
        return lowest_in_groups(score, *method.pattern, earlier)
    return (lowest_in_rows if method.by_row else smallest)(score, method.sparsity, earlier)


def shares(model: CompressedModel, method: P, context: StepContext, *, inputs: bool) -> dict[str, P]:
    """Every matrix that the method is meant for with its settings, the sparsity of its block among them."""
    chosen = dict(model.chosen(method))
    if method.ratios != "outliers" or method.idle:
        return chosen
    share = _outlier_shares(model, method, context, list(chosen), inputs=inputs)
    context.job.remember("prune.shares", shares=[f"{value:.3f}" for value in share.values()])
    return {name: own.model_copy(update={"sparsity": share[model.weights[name].layer]}) for name, own in chosen.items()}


def _outlier_shares(
    model: CompressedModel, method: Pruner, context: StepContext, names: list[str], *, inputs: bool
) -> dict[int | None, float]:
    """OWL: blocks with more outlying scores keep more, `SPREAD` at most away from the mean, which is the target."""
    found = _statistics(context) if inputs else {}
    scores: dict[int | None, list[Tensor]] = {}
    for name in context.each(names):
        scores.setdefault(model.weights[name].layer, []).append(_score(model.weight(name), found.get(name)).flatten())
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


def _score(weight: Tensor, statistics: InputStatistics | None) -> Tensor:
    return weight.abs() if statistics is None else weight.abs() * statistics.norms
