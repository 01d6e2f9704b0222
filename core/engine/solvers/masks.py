"""Which weights become zero. A mask is a bool tensor of the weight's shape, True where the weight is zeroed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

GONE = -1.0  # below every score: what was zeroed before is counted first


def smallest(scores: Tensor, sparsity: float, earlier: Tensor | None = None) -> Tensor:
    """Exactly round(sparsity * count) of the lowest scores (none below 0); of equal ones the first in memory.

    `earlier` are weights that are zeroed already: they are part of the count before any other.
    """
    return lowest(_ranked(scores, earlier).flatten(), round(sparsity * scores.numel())).view(scores.shape)


def smallest_overall(
    scores: dict[str, Tensor], sparsity: float, earlier: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """As `smallest`, with one threshold for all weights together: exactly round(sparsity * total) in all."""
    earlier = earlier or {}
    flat = torch.cat([_ranked(score, earlier.get(name)).flatten() for name, score in scores.items()])
    chosen = lowest(flat, round(sparsity * flat.numel()))
    pieces = chosen.split([score.numel() for score in scores.values()])
    return {name: piece.view(scores[name].shape) for name, piece in zip(scores, pieces, strict=True)}


def lowest_in_rows(scores: Tensor, count: int, earlier: Tensor | None = None) -> Tensor:
    """In every row so many of the lowest scores."""
    chosen = _ranked(scores, earlier).sort(dim=1, stable=True).indices[:, :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, chosen, True)


def lowest_in_groups(scores: Tensor, n: int, m: int, earlier: Tensor | None = None) -> Tensor:
    """All but the n highest scores in every m along a row, of equal ones the first; a short last group keeps n too."""
    rows, columns = scores.shape
    missing = -columns % m
    ranked = torch.nn.functional.pad(_ranked(scores, earlier), (0, missing), value=2 * GONE).view(rows, -1, m)
    kept = ranked.sort(dim=2, descending=True, stable=True).indices[..., :n]
    mask = torch.ones_like(ranked, dtype=torch.bool).scatter_(2, kept, False)
    return mask.flatten(1)[:, :columns]


def _ranked(scores: Tensor, earlier: Tensor | None) -> Tensor:
    return scores if earlier is None else scores.masked_fill(earlier, GONE)


def lowest(scores: Tensor, count: int) -> Tensor:
    """True at the `count` lowest; among those equal to the threshold, the first ones."""
    mask = torch.zeros_like(scores, dtype=torch.bool)
    if count == 0:
        return mask
    threshold = _nth_lowest(scores, count)
    mask = scores < threshold
    equal = (scores == threshold).nonzero().flatten()
    mask[equal[: count - int(mask.sum())]] = True
    return mask


def _nth_lowest(scores: Tensor, count: int) -> float:
    """Its value, of scores [n]. numpy selects many times faster than torch does on a processor."""
    if scores.device.type != "cpu":
        return float(scores.kthvalue(count).values)
    return float(np.partition(scores.numpy(), count - 1)[count - 1])
