"""Pruning by a score: the shared walk. A method supplies only what a weight is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from core.engine.calibration import InputStatistics
from core.engine.context import StepContext
from core.engine.masks import lowest_in_groups, smallest, smallest_overall
from core.engine.model import CompressedModel

if TYPE_CHECKING:
    from core.methods.layerwise import Pruner

Score = Callable[[Tensor, InputStatistics | None], Tensor]  # weight [r, d] -> what each weight is worth [r, d]


def prune_by_score(
    model: CompressedModel, method: Pruner, context: StepContext, score: Score, *, statistics: bool
) -> None:
    """Zero the weights of lowest score, by layer, by N:M pattern or by one threshold for all. Raises Cancelled."""
    chosen = dict(model.chosen(method))
    scores: dict[str, Tensor] = {}
    alone = (((name,), None) for name in context.each(list(chosen)))
    for names, found in context.with_statistics(model, list(chosen)) if statistics else alone:
        for name in names:
            if chosen[name].idle:
                continue
            worth = score(model.weight(name), found)
            if method.ratios == "global":
                scores[name] = worth
            else:
                model.prune(name, _mask(worth, chosen[name], model.masks.get(name)))
    if scores:
        for name, mask in smallest_overall(scores, method.sparsity, model.masks).items():
            model.prune(name, mask)


def _mask(worth: Tensor, method: Pruner, earlier: Tensor | None) -> Tensor:
    if method.pattern is not None:
        return lowest_in_groups(worth, *method.pattern, earlier)
    return smallest(worth, method.sparsity, earlier)
