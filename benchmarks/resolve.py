"""A whole model solved again with warm factors, against its arithmetic limit and against the plain published loop.

Shapes of OPT-125M with random weights, and one random well-conditioned Hessian for every input. The limit is one
multiply-add for every row and pair of channels, r d^2, at the rate of this machine's own large matrix products. The
reference is the loop as published (arXiv:2210.17323, algorithm 1; arXiv:2301.00774, algorithm 1): column by column,
blocks of 128, one matrix at a time. As published it factorises the Hessian for each matrix; its loop alone, given our
warm factors, is timed as well. All take turns. Ours solves all layers; the reference, which is slow, solves one, and
its time counts LAYERS times: all layers have the same shapes and numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from compresslab.engine.solvers.optimal_brain import Solved, Target, solve
from compresslab.engine.solvers.rounding import Fitted
from compresslab.grids.affine import Affine
from torch import Tensor

from benchmarks.report import write

LAYERS, HIDDEN, WIDE = 12, 768, 3072
GRID = Affine(4, 64, True)
SPARSITY = 0.5
DAMPENING = 0.01
BLOCK = 128  # of the reference
ROUNDS = 3
GEMM_SIZE = 2048
TARGETS = ("gptq 4 bit, group 64", "sparsegpt 50 %")


@dataclass(frozen=True)
class Input:
    """The matrices [r, d] that share an input, its dampened Hessian, and the upper Cholesky factor of the inverse."""

    weights: list[Tensor]
    hessian: Tensor
    factor: Tensor

    @property
    def multiply_adds(self) -> int:
        return sum(weight.shape[0] * weight.shape[1] ** 2 for weight in self.weights)


def main() -> None:
    inputs = opt_125m()
    figures = {name: compared(inputs, name) for name in TARGETS}
    about = {"threads": torch.get_num_threads(), "dtype": "float32", "goal_over_limit": 3.0, "goal_of_reference": 0.2}
    about["reference_layers_timed"] = 1
    shapes = f"{LAYERS} layers: 4 of {HIDDEN}x{HIDDEN}, {WIDE}x{HIDDEN}, {HIDDEN}x{WIDE}"
    print(write("resolve", {"model": f"shapes of OPT-125M, {shapes}, random", **about, "solves": figures}))


def opt_125m() -> list[Input]:
    """Every input of one layer, once; all layers have the same shapes, so one is solved LAYERS times over."""
    generator = torch.Generator().manual_seed(0)
    shapes = [([HIDDEN] * 3, HIDDEN), ([HIDDEN], HIDDEN), ([WIDE], HIDDEN), ([HIDDEN], WIDE)]
    layer = []
    for rows, d in shapes:
        weights = [torch.randn(r, d, generator=generator) / d**0.5 for r in rows]
        hessian = random_hessian(d, generator)
        layer.append(Input(weights, hessian, factor_of(hessian)))
    return layer * LAYERS


def random_hessian(d: int, generator: torch.Generator) -> Tensor:
    """Of four samples a channel, channels leaning on each other and of different strength, dampened."""
    samples = torch.randn(4 * d, d, generator=generator) @ torch.randn(d, d, generator=generator) / d**0.5
    samples *= torch.rand(d, generator=generator) + 0.1
    H = samples.T @ samples / len(samples)
    H.diagonal().add_(DAMPENING * H.diagonal().mean())
    return H


def factor_of(hessian: Tensor) -> Tensor:
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)


def compared(inputs: list[Input], name: str) -> dict[str, Any]:
    """Medians of rounds in which our solve, the reference and the limit take turns."""
    seconds: dict[str, list[float]] = {"ours": [], "reference": [], "reference_loop": [], "limit": []}
    agreement = []
    layer = inputs[: len(inputs) // LAYERS]
    for _ in range(ROUNDS):
        seconds["limit"].append(2 * sum(one.multiply_adds for one in inputs) / flops_per_second())
        took, ours = timed(lambda: [our_solve(one, name) for one in inputs])
        seconds["ours"].append(took)
        took, plain = timed(lambda: [reference(one, name) for one in layer])
        seconds["reference_loop"].append(took * LAYERS)
        took, _ = timed(lambda: [factor_of(one.hessian) for one in layer for _ in one.weights])
        seconds["reference"].append(took * LAYERS + seconds["reference_loop"][-1])
        agreement.append(agreeing(ours[: len(layer)], plain, name))
    middle = {key: median(values) for key, values in seconds.items()}
    found = {
        "seconds": middle,
        "rounds": seconds,
        "ours_over_limit": middle["ours"] / middle["limit"],
        "ours_of_reference": middle["ours"] / middle["reference"],
        "ours_of_reference_loop": middle["ours"] / middle["reference_loop"],
        "agreement": min(agreement),
    }
    print(name, found, flush=True)
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def flops_per_second() -> float:
    """Of a large float32 matrix product: the best of five."""
    a, b = torch.randn(GEMM_SIZE, GEMM_SIZE), torch.randn(GEMM_SIZE, GEMM_SIZE)
    return max(2 * GEMM_SIZE**3 / timed(lambda: a @ b)[0] for _ in range(5))


# -- ours ---------------------------------------------------------------------------------


def our_solve(one: Input, name: str) -> Solved:
    """All matrices of an input in one go, the fitting of the grid included."""
    target = Target(sparsity=SPARSITY)
    if name == TARGETS[0]:
        target = Target(Fitted(GRID, GRID.fit(torch.cat(one.weights))))
    return solve(one.weights, one.factor, target, lambda: None)


# -- the reference ------------------------------------------------------------------------


def reference(one: Input, name: str) -> Tensor:
    """Codes or masks [rows, d] of all matrices of an input, one after the other, with the factor given."""
    walk = plain_gptq if name == TARGETS[0] else plain_sparsegpt
    return torch.cat([walk(weight, one.factor) for weight in one.weights])


def plain_gptq(weight: Tensor, factor: Tensor) -> Tensor:
    W = weight.clone()
    fitted = GRID.fit(weight)
    scales, zeros = GRID.scales(fitted), GRID.zero_codes(fitted).float()
    codes = torch.zeros_like(W, dtype=torch.uint8)

    def fix(column: int, values: Tensor) -> Tensor:
        scale, zero = scales[:, column // GRID.group_size], zeros[:, column // GRID.group_size]
        code = torch.clamp(torch.round(values / scale) + zero, 0, 2**GRID.bits - 1)
        codes[:, column] = code.to(torch.uint8)
        return (code - zero) * scale

    plain_walk(W, factor, fix, lambda first, last: None)
    return codes


def plain_sparsegpt(weight: Tensor, factor: Tensor) -> Tensor:
    W = weight.clone()
    mask = torch.zeros_like(W, dtype=torch.bool)

    def choose(first: int, last: int) -> None:
        salience = W[:, first:last] ** 2 / torch.diag(factor)[first:last] ** 2
        threshold = torch.sort(salience.flatten())[0][int(salience.numel() * SPARSITY)]
        mask[:, first:last] = salience < threshold

    plain_walk(W, factor, lambda column, values: torch.where(mask[:, column], 0.0, values), choose)
    return mask


def plain_walk(
    W: Tensor, factor: Tensor, fix: Callable[[int, Tensor], Tensor], choose: Callable[[int, int], None]
) -> None:
    """One column after the other; every error is passed on within the block at once, to the others block by block."""
    d = W.shape[1]
    for first in range(0, d, BLOCK):
        last = min(first + BLOCK, d)
        choose(first, last)
        errors = torch.zeros(len(W), last - first)
        for column in range(first, last):
            fixed = fix(column, W[:, column])
            error = (W[:, column] - fixed) / factor[column, column]
            W[:, column:last] -= error.unsqueeze(1) @ factor[column, column:last].unsqueeze(0)
            W[:, column] = fixed
            errors[:, column - first] = error
        W[:, last:] -= errors @ factor[first:last, last:]


def agreeing(ours: list[Solved], plain: list[Tensor], name: str) -> float:
    """Share of codes, or of mask entries, that are the same. Rounding errors of sums may tip a weight."""
    same = total = 0
    for solved, expected in zip(ours, plain, strict=True):
        found = solved.quantized.codes if name == TARGETS[0] else solved.mask
        assert found is not None
        same += int((found == expected).sum())
        total += expected.numel()
    return same / total


if __name__ == "__main__":
    main()
