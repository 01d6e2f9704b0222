"""What remains of pruned matrices, refined: the least-squares weights under a fixed mask, by conjugate gradients.

SparseGPT only lets channels make up that come later in its walk; with the mask known, all of them can. Minimises
tr(D H D^T), D = W - W0, over the weights that are kept, every row by itself (Hestenes & Stiefel 1952, with the diagonal
of H as preconditioner). Each step costs one product with H.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TINY = 1e-30


def refine(
    start: Tensor,
    before: Tensor,
    mask: Tensor,
    hessian: Tensor,
    *,
    drift: Tensor | None = None,
    dampening: float,
    steps: int,
    check: Callable[[], None],
) -> Tensor:
    """`start` improved towards `before`, float32 [r, d], zero where `mask` is True.

    `hessian` is that of the input, [d, d]. Where the input has drifted, with `drift` [d, d] from what it was, towards
    what `before` gave of the input as it was.
    """
    diagonal = hessian.diagonal()
    ridge = float(dampening * diagonal.mean())
    scale = (diagonal + ridge).clamp_min(TINY)
    kept = (~mask).to(start.dtype)  # multiplying is many times faster than filling under a mask

    def applied(direction: Tensor) -> Tensor:
        return torch.addmm(direction, direction, hessian, beta=ridge).mul_(kept)

    weight = start.clone()
    residual = applied(before - weight)  # [r, d]: minus half the gradient
    if drift is not None:
        residual.add_((before @ drift).mul_(kept))
    direction = residual / scale
    energy = _dot(residual, direction)  # [r, 1]
    for _ in range(steps):
        check()
        image = applied(direction)
        step = energy / _dot(direction, image).clamp_min_(TINY)
        weight.addcmul_(step, direction)
        residual.addcmul_(step, image, value=-1)
        conditioned = torch.div(residual, scale, out=image)
        new_energy = _dot(residual, conditioned)
        direction.mul_(new_energy / energy.clamp_min_(TINY)).add_(conditioned)
        energy = new_energy
    return weight if bool(weight.isfinite().all()) else start


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Of every row: [r, 1]."""
    return torch.linalg.vecdot(left, right).unsqueeze(1)
