"""Which weights become zero. A mask is a bool tensor of the weight's shape, True where the weight is zeroed."""

from __future__ import annotations

import torch
from torch import Tensor

GONE = -1.0  # below every magnitude: what was zeroed before is counted first


def smallest(weight: Tensor, sparsity: float, earlier: Tensor | None = None) -> Tensor:
    """Exactly round(sparsity * count) of the smallest magnitudes; of equal ones the first in memory.

    `earlier` are weights that are zeroed already: they are part of the count before any other.
    """
    return _lowest(_magnitudes(weight, earlier), round(sparsity * weight.numel())).view(weight.shape)


def smallest_overall(
    weights: dict[str, Tensor], sparsity: float, earlier: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """As `smallest`, with one threshold for all weights together: exactly round(sparsity * total) in all."""
    earlier = earlier or {}
    flat = torch.cat([_magnitudes(weight, earlier.get(name)) for name, weight in weights.items()])
    chosen = _lowest(flat, round(sparsity * flat.numel()))
    pieces = chosen.split([weight.numel() for weight in weights.values()])
    return {name: piece.view(weights[name].shape) for name, piece in zip(weights, pieces, strict=True)}


def _magnitudes(weight: Tensor, earlier: Tensor | None) -> Tensor:
    magnitudes = weight.abs().flatten()
    return magnitudes if earlier is None else magnitudes.masked_fill(earlier.flatten(), GONE)


def _lowest(magnitudes: Tensor, count: int) -> Tensor:
    """True at the `count` lowest; among those equal to the threshold, the first ones."""
    mask = torch.zeros_like(magnitudes, dtype=torch.bool)
    if count == 0:
        return mask
    threshold = magnitudes.kthvalue(count).values
    mask = magnitudes < threshold
    equal = (magnitudes == threshold).nonzero().flatten()
    mask[equal[: count - int(mask.sum())]] = True
    return mask
