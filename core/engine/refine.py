"""What remains of pruned matrices, refined: the least-squares weights under a fixed mask, by conjugate gradients.

SparseGPT only lets channels make up that come later in its walk; with the mask known, all of them can. Minimises
tr(D H D^T), D = W - W0, over the weights that are kept, every row by itself (Hestenes & Stiefel 1952, with the diagonal
of H as preconditioner). Each step costs one product with H.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

TINY = 1e-30


def refine(
    start: Tensor,
    before: Tensor,
    mask: Tensor,
    hessian: Tensor,
    *,
    dampening: float,
    steps: int,
    check: Callable[[], None],
) -> Tensor:
    """`start` improved towards `before`, float32 [r, d], zero where `mask` is True; `hessian` is [d, d]."""
    diagonal = hessian.diagonal()
    ridge = dampening * diagonal.mean()
    scale = (diagonal + ridge).clamp_min(TINY)

    def applied(direction: Tensor) -> Tensor:
        return (direction @ hessian).add_(direction, alpha=float(ridge)).masked_fill_(mask, 0)

    weight = start.clone()
    residual = -applied(weight - before)  # [r, d]: minus half the gradient
    direction = residual / scale
    energy = (residual * direction).sum(1, keepdim=True)  # [r, 1]
    for _ in range(steps):
        check()
        image = applied(direction)
        step = energy / (direction * image).sum(1, keepdim=True).clamp_min(TINY)
        weight += step * direction
        residual -= step * image
        conditioned = residual / scale
        new_energy = (residual * conditioned).sum(1, keepdim=True)
        direction = conditioned + new_energy / energy.clamp_min(TINY) * direction
        energy = new_energy
    return weight if bool(weight.isfinite().all()) else start
