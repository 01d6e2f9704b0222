"""What the inputs of weight matrices look like on the calibration text: taken once, used for every setting.

Matrices that read the same tensor (q, k and v; gate and up) share one `InputStatistics`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import inputs_of
from compresslab.errors import RunFailed
from compresslab.messages import Message
from torch import Tensor, nn

BATCH_TOKENS = 4096  # of one forward pass
PANEL = 512  # columns of a Hessian that are summed up at once: what lies below its diagonal is left out
MORE_DAMPENING = (1.0, 10.0, 100.0)  # times the dampening asked for, tried one after the other
HESSIAN = "hessian"

Group = tuple[str, ...]
Say = Callable[[Message], None]


class Unfactorable(Exception):
    """The Hessian of an input has no Cholesky factor, however much it is dampened."""


class Arrays:
    """The large arrays of one input, [d, d], by name. These stay in memory."""

    def __init__(self, held: dict[str, Tensor] | None = None) -> None:
        self._held = held or {}

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def get(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """The array of that name, made where it is not there."""
        if name not in self._held:
            self._held[name] = make()
        return self._held[name]

    def in_memory(self) -> tuple[Tensor, ...]:
        return tuple(self._held.values())


class InputStatistics:
    """Of one input of d channels, in float32."""

    def __init__(
        self,
        tokens: int,
        mean: Tensor,
        peaks: Tensor,
        hessian: Tensor | None = None,
        *,
        norms: Tensor | None = None,
        arrays: Arrays | None = None,
        drift: Tensor | None = None,
    ) -> None:
        self.tokens = tokens
        self.mean = mean  # [d]
        self.peaks = peaks  # [d], largest magnitude
        self.arrays = arrays or Arrays({} if hessian is None else {HESSIAN: hessian})
        self.norms = self.hessian.diagonal().sqrt() if norms is None else norms  # [d], root mean square
        self.drift = drift  # (X - X^)^T X^ / tokens, [d, d]: X the input as it was, X^ as it is; None: the same
        self._say: Say | None = None
        self._unfactorable: set[str] = set()

    @property
    def hessian(self) -> Tensor:
        """X^T X / tokens: [d, d]."""
        return self.arrays.get(HESSIAN, _not_taken)

    def in_memory(self) -> tuple[Any, ...]:
        """What of them takes memory."""
        return self.mean, self.peaks, self.norms, self.drift, self.arrays

    def heard_by(self, say: Say, group: Group) -> InputStatistics:
        """The same statistics, that tell what they had to do for this input."""
        told = copy.copy(self)
        told._say = lambda said: say(Message("calibration.of_weight", weight=group[0], said=said))
        return told

    def aim(self, weight: Tensor, dampening: float, order: Tensor | None = None) -> Tensor:
        """What stands in for matrices [r, d] so that they give, of this input, what they gave of the input as it was.

        The ridge solution of min |W X - W' X^|: W + W (X - X^) X^^T (X^ X^^T + dampening)^-1. A solver that starts from
        it makes up for what was lost in the layers before (Li et al. 2025, GPTAQ, arXiv:2504.02692, section 3; Zhang
        et al. 2025, Qronos, arXiv:2505.11695). Raises Unfactorable.
        """
        if self.drift is None:
            return weight
        factor = self.factor(dampening, order)  # of the inverse, F^T F
        lost = weight @ self.drift
        if order is None:
            return weight + lost @ factor.T @ factor
        return weight + (lost[:, order] @ factor.T @ factor)[:, order.argsort()]

    def factor(self, dampening: float, order: Tensor | None = None) -> Tensor:
        """Upper Cholesky factor of the inverse of H + dampening * mean(diag H) * I, channels in that order: [d, d].

        The mean is that of the channels that are ever active; the others have nothing but the dampening on their
        diagonal, so that their weights are the first to go. (GPTQ's code gives them one, and takes it into the mean:
        where activations are small, that is most of the dampening, and it makes dead weights the dearest of all.)
        Where that fails it takes ten and a hundred times the dampening, and says so; then it raises Unfactorable.
        """
        for times in MORE_DAMPENING:
            name = _factor_name(times * dampening, order)
            if name in self._unfactorable:
                continue
            make = partial(self._factor, times * dampening, order)
            try:
                found = self.arrays.get(name, make)
            except Unfactorable:
                self._unfactorable.add(name)
                continue
            if times > 1 and self._say is not None:
                self._say(Message("calibration.more_dampening", times=times))
            return found
        raise Unfactorable

    def _factor(self, dampening: float, order: Tensor | None) -> Tensor:
        H = self.hessian.clone() if order is None else self.hessian[order][:, order]
        diagonal = H.diagonal()
        active = diagonal[diagonal > 0]
        diagonal += dampening * (active.mean() if len(active) else 1.0)
        lower, failed = torch.linalg.cholesky_ex(H)
        del H, diagonal  # three of these arrays at once are enough
        if not int(failed):
            inverse = torch.cholesky_inverse(lower)
            del lower
            upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
            if not int(failed) and bool(upper.isfinite().all()):
                return upper
        raise Unfactorable


def _not_taken() -> Tensor:
    raise AssertionError("these statistics were asked for without their Hessian")


def _factor_name(dampening: float, order: Tensor | None) -> str:
    name = f"factor {dampening:.6g}"
    if order is None:
        return name
    return f"{name} {hashlib.sha256(order.cpu().numpy().tobytes()).hexdigest()[:12]}"


class Sums:
    """Running sums over the rows of one input."""

    def __init__(self, hessian: bool) -> None:
        self.tokens = 0
        self._drift: Tensor | None = None  # [d, d]
        self._with_hessian = hessian
        self._total, self._squares, self._peaks = torch.empty(0), torch.empty(0), torch.empty(0)
        self._moments: Tensor | None = None  # [d, d], on and above the diagonal

    def add(self, inputs: Tensor, meant: Tensor | None = None) -> None:
        """Take in rows of the input; `meant` are the same rows as they were before anything was compressed."""
        rows = _rows(inputs)
        if not self.tokens:
            self._total, self._squares, self._peaks = (rows.new_zeros(rows.shape[1]) for _ in range(3))
            self._moments = rows.new_zeros(rows.shape[1], rows.shape[1]) if self._with_hessian else None
        self.tokens += len(rows)
        self._total += rows.sum(0)
        self._peaks = torch.maximum(self._peaks, rows.abs().amax(0))
        if self._moments is None:
            self._squares += rows.square().sum(0)
            return
        for first in range(0, rows.shape[1], PANEL):
            panel = rows[:, first : first + PANEL]
            self._moments[first : first + PANEL, first:].addmm_(panel.T, rows[:, first:])
        if meant is not None:
            drift = rows.new_zeros(rows.shape[1], rows.shape[1]) if self._drift is None else self._drift
            self._drift = drift.addmm_((_rows(meant) - rows).T, rows)

    def hear(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take in what a module reads: a hook before it."""
        self.add(inputs[0])

    def statistics(self, group: Group, expected: int) -> InputStatistics:
        """Raises RunFailed where an input was not finite."""
        assert self.tokens == expected, f"{group[0]} has seen {self.tokens} tokens and not {expected}"
        mean, peaks = self._total / self.tokens, self._peaks
        squares = self._squares if self._moments is None else self._moments.diagonal()
        if not bool((mean.isfinite() & squares.isfinite()).all()):
            raise RunFailed("calibration.not_finite", weight=group[0])
        if self._moments is None:
            return InputStatistics(self.tokens, mean, peaks, norms=(squares / self.tokens).sqrt())
        upper = self._moments.triu_().div_(self.tokens)
        drift = None if self._drift is None else self._drift.div_(self.tokens)
        return InputStatistics(self.tokens, mean, peaks, upper + upper.triu(1).T, drift=drift)


def _rows(inputs: Tensor) -> Tensor:
    """float32 [T, d] of an input [..., d]."""
    return inputs.detach().reshape(-1, inputs.shape[-1]).float()


def shared_inputs(model: CompressedModel, names: Sequence[str], sample: Tensor) -> list[Group]:
    """The matrices that read one and the same tensor, in the order in which the model reaches them."""
    readers: dict[int, list[str]] = {}
    kept: list[Tensor] = []  # while they are held no other tensor can have the same identity

    def watch(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.append(inputs[0])
            readers.setdefault(id(inputs[0]), []).append(name)

        return hook

    with before_matrices(model, {name: watch(name) for name in names}), torch.no_grad():
        model.module.base_model(**inputs_of(model, sample[:1].to(model.device)), use_cache=False)
    return [tuple(group) for group in readers.values()]


@contextmanager
def before_matrices(model: CompressedModel, watchers: dict[str, Callable[..., None]]) -> Iterator[None]:
    """Hooks before the modules of some weights, taken off again at the end."""
    with ExitStack() as stack:
        for name, watcher in watchers.items():
            module = model.module.get_submodule(name.removesuffix(".weight"))
            stack.callback(module.register_forward_pre_hook(watcher).remove)
        yield
