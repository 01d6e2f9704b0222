"""The layerwise solve of GPTQ and SparseGPT: fix one input channel after the other, and let the channels that are
still free make up for the error.

GPTQ, arXiv:2210.17323, algorithm 1; SparseGPT, arXiv:2301.00774, algorithm 1. Both walk the same factor of the inverse
Hessian, so that one solver rounds, zeroes, or does both at once (SparseGPT, section 3.5). Weights are held transposed,
[channels, rows]: what is touched together lies together. Matrices that share an input are stacked along the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from compresslab.engine.solvers.masks import GONE, lowest
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight
from torch import Tensor

BLOCK, MINI = 128, 32  # channels whose errors are passed on by one large, and by one small, matrix product


@dataclass(frozen=True)
class Target:
    """What is asked of the matrices."""

    fitted: Fitted | None = None  # the grid that they are rounded to; None: they are not
    sparsity: float = 0.0  # of each matrix
    pattern: tuple[int, int] | None = None  # at most N in M kept; takes the place of sparsity

    @property
    def prunes(self) -> bool:
        return self.sparsity > 0 or self.pattern is not None


@dataclass(frozen=True)
class Solved:
    """The matrices one below the other."""

    weight: Tensor  # float32 [rows, channels]
    stored: QuantizedWeight | None  # where a grid was asked for
    mask: Tensor | None  # True where zeroed
    loss: Tensor  # float32 [rows], of every row of D H D^T, D what was changed, H dampened

    @property
    def quantized(self) -> QuantizedWeight:
        """What is stored, of a solve on a grid."""
        assert self.stored is not None
        return self.stored


def solve(
    weights: Sequence[Tensor],
    factor: Tensor,
    target: Target,
    check: Callable[[], None],
    *,
    earlier: Tensor | None = None,
    order: Tensor | None = None,
) -> Solved:
    """Solve matrices [r_i, d] that share an input. `factor` is the upper Cholesky factor of the inverse Hessian, with
    its channels in `order`; `earlier` [rows, d] marks weights that are zero already. `check` may raise Cancelled.
    """
    state = _Solve(weights, factor, target, earlier, order)
    for first in range(0, len(factor), BLOCK):
        check()
        state.block(first, min(first + BLOCK, len(factor)))
    return state.solved()


def relative_loss(weight: Tensor, changed: Tensor, hessian: Tensor) -> float:
    """tr(D H D^T) / tr(W H W^T) with D = W - changed: the share of the layer's output that is lost."""
    lost, whole = weight - changed, weight
    energy = float(((whole @ hessian) * whole).sum())
    return float(((lost @ hessian) * lost).sum()) / energy if energy > 0 else 0.0


@dataclass
class _Quota:
    """How many weights of one matrix become zero beside those that are, spread evenly over those that are not."""

    count: int
    free: int  # weights that were not zero before
    seen: int = 0  # of them, in the blocks so far
    taken: int = 0

    @classmethod
    def of(cls, earlier: Tensor, sparsity: float) -> _Quota:
        """For a matrix with these zeros of which this share is to be zero in the end."""
        zeros, size = int(earlier.sum()), earlier.numel()
        return cls(max(round(sparsity * size) - zeros, 0), size - zeros)

    def take(self, free: int) -> int:
        """How many go in the next block, which has so many free weights: such that the share is right so far."""
        self.seen += free
        count = round(self.count * self.seen / self.free) - self.taken if self.free else 0
        self.taken += count
        return count


class _Solve:
    """The state of one solve."""

    def __init__(
        self, weights: Sequence[Tensor], factor: Tensor, target: Target, earlier: Tensor | None, order: Tensor | None
    ) -> None:
        self._target, self._factor, self._order = target, factor, order
        self._rows = [len(weight) for weight in weights]
        self._weight = self._transposed(torch.cat(list(weights)))  # [d, r]
        nothing = torch.zeros_like(self._weight, dtype=torch.bool)
        self._earlier = nothing if earlier is None else self._transposed(earlier)
        self._zeroed = self._earlier.clone()
        self._zeroes = target.prunes or earlier is not None
        self._loss = self._weight.new_zeros(self._weight.shape[1])
        self._quotas = [_Quota.of(zeros, target.sparsity) for zeros in self._earlier.split(self._rows, dim=1)]
        if target.fitted is not None:
            self._prepare_grid(target.fitted)

    def _prepare_grid(self, fitted: Fitted) -> None:
        grid, d = fitted.grid, len(self._weight)
        self._points = torch.empty_like(self._weight)  # in units of the scale
        scales = grid.scales(fitted.parameters).T.contiguous()  # [groups, r]
        snaps = [grid.snap(fitted.parameters, group) for group in range(len(scales))]
        groups = list(zip(scales, snaps, strict=True))
        places = range(d) if self._order is None else self._order.tolist()
        self._groups = [groups[place // (grid.group_size or d)] for place in places]

    def block(self, first: int, last: int) -> None:
        """Fix the channels first to last, then pass their errors on to all that follow."""
        if self._target.sparsity > 0 and self._target.pattern is None:
            self._choose(first, last)
        errors = torch.empty_like(self._weight[first:last])
        passed_on = self._factor[first:last, first:] / self._factor.diagonal()[first:last, None]
        for start in range(first, last, MINI):
            end = min(start + MINI, last)
            for channel in range(start, end):
                self._fix(channel, errors[channel - first])
                if channel + 1 < end:
                    along = passed_on[channel - first, channel + 1 - first : end - first]
                    self._weight[channel + 1 : end].addr_(along, errors[channel - first], alpha=-1)
            self._pass_on(
                passed_on[start - first : end - first, : last - first], errors[start - first : end - first], end, last
            )
        self._pass_on(passed_on, errors, last, len(self._weight))
        self._loss += errors.div_(self._factor.diagonal()[first:last, None]).square_().sum(0)

    def _fix(self, channel: int, error: Tensor) -> None:
        """What rounding or zeroing a channel takes away from it, into `error` [r]."""
        pattern = self._target.pattern
        if pattern is not None and channel % pattern[1] == 0:
            self._choose_kept(channel, *pattern)
        if self._target.fitted is None:
            torch.mul(self._weight[channel], self._zeroed[channel], out=error)
            return
        weight, (scale, snap) = self._weight[channel], self._groups[channel]
        points = snap(torch.div(weight, scale, out=self._points[channel]))
        if self._zeroes:
            points.masked_fill_(self._zeroed[channel], 0)
        torch.addcmul(weight, points, scale, value=-1, out=error)

    def _pass_on(self, passed_on: Tensor, errors: Tensor, first: int, last: int) -> None:
        """Let the channels first to last make up for errors [n, r]; they are the last columns of `passed_on`."""
        if first < last:
            self._weight[first:last].addmm_(passed_on[:, first - last :].T, errors, alpha=-1)

    def _choose(self, first: int, last: int) -> None:
        """Zero the least salient weights of a block that are not zero yet."""
        ranked = self._salience(first, last).masked_fill_(self._earlier[first:last], torch.inf)
        parts = zip(
            self._quotas, *(t.split(self._rows, dim=1) for t in (ranked, self._zeroed[first:last])), strict=True
        )
        for quota, salience, zeroed in parts:
            count = quota.take(int((~zeroed).sum()))
            zeroed |= lowest(salience.flatten(), count).view(salience.shape)

    def _choose_kept(self, first: int, n: int, m: int) -> None:
        last = min(first + m, len(self._weight))
        ranked = self._salience(first, last).masked_fill_(self._earlier[first:last], GONE)
        kept = ranked.topk(min(n, last - first), dim=0).indices
        self._zeroed[first:last] |= torch.ones_like(ranked, dtype=torch.bool).scatter_(0, kept, False)

    def _salience(self, first: int, last: int) -> Tensor:
        """What zeroing a weight would cost: w^2 / [H^-1]_jj, as far as the channels before are fixed."""
        return (self._weight[first:last] / self._factor.diagonal()[first:last, None]).square_()

    def _transposed(self, matrix: Tensor) -> Tensor:
        return (matrix if self._order is None else matrix[:, self._order]).T.contiguous()

    def _upright(self, matrix: Tensor) -> Tensor:
        return (matrix if self._order is None else matrix[self._order.argsort()]).T.contiguous()

    def solved(self) -> Solved:
        mask = self._upright(self._zeroed) if self._zeroes else None
        if self._target.fitted is None:
            return Solved(self._upright(self._weight.masked_fill_(self._zeroed, 0)), None, mask, self._loss)
        points, fitted = self._upright(self._points), self._target.fitted
        weight = points * fitted.grid.spread(fitted.grid.scales(fitted.parameters), points.shape[1])
        return Solved(weight, fitted.at(points), mask, self._loss)
