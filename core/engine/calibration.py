"""What the inputs of weight matrices look like on the calibration text: taken once, used for every setting.

Matrices that read the same tensor (q, k and v; gate and up) share one `InputStatistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.engine.model import CompressedModel

BATCH_TOKENS = 4096  # of one forward pass
MORE_DAMPENING = (1.0, 10.0, 100.0)  # times the dampening asked for, tried one after the other

Group = tuple[str, ...]


class Unfactorable(Exception):
    """The Hessian of an input has no Cholesky factor, however much it is dampened."""


@dataclass
class InputStatistics:
    """Of one input of d channels, in float32."""

    tokens: int
    mean: Tensor  # [d]
    peaks: Tensor  # [d], largest magnitude
    hessian: Tensor  # [d, d] = X^T X / tokens
    _factors: dict[Any, Tensor] = field(default_factory=dict)

    @property
    def norms(self) -> Tensor:
        """Root mean square of every channel: [d]."""
        return self.hessian.diagonal().sqrt()

    def factor(self, dampening: float, order: Tensor | None = None) -> Tensor:
        """Upper Cholesky factor of the inverse of H + dampening * mean(diag H) * I, channels in that order: [d, d].

        Channels that are never active get one on the diagonal (GPTQ, arXiv:2210.17323, section 3.3 and its code's
        convention). Raises Unfactorable when a hundred times the dampening does not help either.
        """
        key = (dampening, None if order is None else tuple(order.tolist()))
        if key not in self._factors:
            self._factors[key] = self._factorised(dampening, order)
        return self._factors[key]

    def _factorised(self, dampening: float, order: Tensor | None) -> Tensor:
        H = self.hessian if order is None else self.hessian[order][:, order]
        for times in MORE_DAMPENING:
            damped = H.clone()
            diagonal = damped.diagonal()
            diagonal[diagonal == 0] = 1.0
            diagonal += times * dampening * diagonal.mean()
            lower, failed = torch.linalg.cholesky_ex(damped)
            if not int(failed):
                inverse = torch.cholesky_inverse(lower)
                upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
                if not int(failed) and bool(upper.isfinite().all()):
                    return upper
        raise Unfactorable


class _Sums:
    """Running sums over the rows of one input."""

    def __init__(self) -> None:
        self.tokens = 0
        self.total: Tensor | None = None
        self.squares: Tensor | None = None
        self.peaks: Tensor | None = None

    def add(self, inputs: Tensor) -> None:
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).float()  # [T, d]
        if self.total is None or self.squares is None or self.peaks is None:
            d = rows.shape[1]
            self.total, self.peaks = rows.new_zeros(d), rows.new_zeros(d)
            self.squares = rows.new_zeros(d, d)
        self.tokens += len(rows)
        self.total += rows.sum(0)
        self.peaks = torch.maximum(self.peaks, rows.abs().amax(0))
        self.squares.addmm_(rows.T, rows)

    def statistics(self) -> InputStatistics:
        assert self.total is not None and self.squares is not None and self.peaks is not None
        return InputStatistics(self.tokens, self.total / self.tokens, self.peaks, self.squares / self.tokens)


def shared_inputs(model: CompressedModel, names: Sequence[str], sample: Tensor) -> list[Group]:
    """The matrices that read one and the same tensor, in the order in which the model reaches them."""
    readers: dict[int, list[str]] = {}
    kept: list[Tensor] = []  # while they are held no other tensor can have the same identity

    def watch(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.append(inputs[0])
            readers.setdefault(id(inputs[0]), []).append(name)

        return hook

    with _hooks(model, {name: watch(name) for name in names}), torch.no_grad():
        model.module(input_ids=sample[:1].to(model.device), use_cache=False)
    return [tuple(group) for group in readers.values()]


def baseline_statistics(
    model: CompressedModel, names: Sequence[str], sequences: Tensor, check: Callable[[float], None]
) -> dict[str, InputStatistics]:
    """Statistics of every matrix from forward passes of the whole model; `check` hears the share that is done."""
    groups = shared_inputs(model, names, sequences)
    sums = {group: _Sums() for group in groups}

    def watch(group: Group) -> Callable[..., None]:
        return lambda _module, inputs: sums[group].add(inputs[0])

    batches = sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))
    with _hooks(model, {group[0]: watch(group) for group in groups}), torch.no_grad():
        for done, batch in enumerate(batches):
            check(done / len(batches))
            model.module(input_ids=batch.to(model.device), use_cache=False)
    found: dict[str, InputStatistics] = {}
    for group, sum_ in sums.items():
        assert sum_.tokens == sequences.numel(), "every matrix must have seen every token once"
        found |= dict.fromkeys(group, sum_.statistics())
    return found


class _hooks:  # noqa: N801 - used like a function
    """Hooks before the modules of some weights, taken off again at the end."""

    def __init__(self, model: CompressedModel, watchers: dict[str, Callable[..., None]]) -> None:
        self._model, self._watchers = model, watchers
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for name, watcher in self._watchers.items():
            module = self._model.module.get_submodule(name.removesuffix(".weight"))
            self._handles.append(module.register_forward_pre_hook(watcher))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def in_forward_order(found: dict[str, InputStatistics]) -> Iterator[tuple[Group, InputStatistics]]:
    """Groups of names that share their statistics."""
    groups: dict[int, list[str]] = {}
    for name, statistics in found.items():
        groups.setdefault(id(statistics), []).append(name)
    for names in groups.values():
        yield tuple(names), found[names[0]]
