"""A model gone through block by block: the hidden states of all sequences are carried along, one block is at work.

Nothing outlives its block but those hidden states, so that a walk needs the memory of one block and its statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.engine.calibration import BATCH_TOKENS, Group, InputStatistics, Sums, before_matrices, shared_inputs
from core.engine.model import CompressedModel

Tell = Callable[[float], None]  # hears the share that is done; raises Cancelled


class _Reached(Exception):
    """What was wanted of a forward pass is known: the rest of it is not run."""

    def __init__(self, call: _Call | None = None) -> None:
        self.call = call


@dataclass(frozen=True)
class _Call:
    """What a block is called with."""

    hidden: Tensor  # [B, T, H]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def baseline_statistics(
    model: CompressedModel, names: Sequence[str], sequences: Tensor, tell: Tell, *, hessian: bool = True
) -> Iterator[tuple[Group, InputStatistics]]:
    """Statistics of one block after the other, its inputs all taken in one pass. The model must not change."""
    walk = Walk(model, names, sequences, tell)
    for layer, groups in walk.layers():
        sums = {group: Sums(hessian) for group in groups}
        walk.step(layer, sums)
        for group in groups:
            yield group, sums.pop(group).statistics(group, sequences.numel())


def sequential_statistics(
    model: CompressedModel, names: Sequence[str], sequences: Tensor, tell: Tell, *, hessian: bool = True
) -> Iterator[tuple[Group, InputStatistics]]:
    """Statistics of one input after the other, each with the weights as they are then.

    Change the matrices of a group before asking for the next one (as GPTQ's "true sequential" order does).
    """
    walk = Walk(model, names, sequences, tell)
    for layer, groups in walk.layers():
        for place, group in enumerate(groups):
            sums = Sums(hessian)
            walk.read(layer, group, sums, place)
            yield group, sums.statistics(group, sequences.numel())
        walk.step(layer)


class Walk:
    """The hidden states before one block, of all sequences. Raises Cancelled whenever `tell` does."""

    def __init__(self, model: CompressedModel, names: Sequence[str], sequences: Tensor, tell: Tell) -> None:
        self._model, self._tell = model, tell
        self._groups: dict[int, list[Group]] = {}
        for group in shared_inputs(model, names, sequences):
            layer = model.weights[group[0]].layer
            assert layer is not None, "only matrices of blocks have statistics of their inputs"
            self._groups.setdefault(layer, []).append(group)
        batches = [b.to(model.device) for b in sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))]
        self._calls = {len(batch): self._calls_of(batch) for batch in {len(batch): batch for batch in batches}.values()}
        self._hidden = [self._entering(batch) for batch in batches]
        self._done = 0.0

    def layers(self) -> Iterator[tuple[int, list[Group]]]:
        """Blocks up to the last one that is asked for, each with its groups in forward order."""
        last = max(self._groups, default=-1)
        for layer in range(last + 1):
            self._done = layer / (last + 1)
            self._part = 1 / (last + 1) / (len(self._groups.get(layer, [])) + 1)
            yield layer, self._groups.get(layer, [])

    def read(self, layer: int, group: Group, sums: Sums, place: int) -> None:
        """Add up what this group reads; the block is not run any further than there."""

        def watch(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            sums.add(inputs[0])
            raise _Reached

        with before_matrices(self._model, {group[0]: watch}):
            for number, hidden in enumerate(self._hidden):
                self._tell(self._done + self._part * (place + number / len(self._hidden)))
                try:
                    self._run(layer, hidden)
                except _Reached:
                    continue

    def step(self, layer: int, sums: dict[Group, Sums] | None = None) -> None:
        """Carry the hidden states through the block, adding up what its groups read on the way."""
        begun = 0 if sums else len(self._groups.get(layer, []))
        part = self._part * (len(self._groups.get(layer, [])) + 1 - begun)
        with before_matrices(self._model, {group[0]: _adding(sum_) for group, sum_ in (sums or {}).items()}):
            for number, hidden in enumerate(self._hidden):
                self._tell(self._done + self._part * begun + part * number / len(self._hidden))
                self._hidden[number] = self._run(layer, hidden)

    # -- inside -------------------------------------------------------------------------

    def _block(self, layer: int) -> nn.Module:
        return self._model.module.get_submodule(f"{self._model.facts.anatomy.blocks}.{layer}")

    def _run(self, layer: int, hidden: Tensor) -> Tensor:
        call = self._calls[len(hidden)][layer]
        with torch.no_grad():
            output = self._block(layer)(hidden, *call.args, **call.kwargs)
        result: Tensor = output[0] if isinstance(output, tuple) else output
        return result

    def _calls_of(self, batch: Tensor) -> list[_Call]:
        """What every block is called with beside its hidden states: positions and masks, which may differ by block."""
        calls: list[_Call] = []

        def watch(_block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            call = _call(args, kwargs)
            calls.append(_Call(torch.empty(0), call.args, call.kwargs))

        handles = [
            self._block(layer).register_forward_pre_hook(watch, with_kwargs=True) for layer in range(self._model.depth)
        ]
        try:
            self._tell(0.0)
            with torch.no_grad():
                self._model.module.base_model(input_ids=batch, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return calls

    def _entering(self, batch: Tensor) -> Tensor:
        """What the first block is given: [B, T, H]."""

        def stop(_block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(_call(args, kwargs))

        handle = self._block(0).register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with torch.no_grad():
                self._model.module.base_model(input_ids=batch, use_cache=False)
        except _Reached as reached:
            assert reached.call is not None
            return reached.call.hidden
        finally:
            handle.remove()
        raise AssertionError("a forward pass goes through the first block")


def _call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    if args:
        return _Call(args[0], args[1:], kwargs)
    rest = dict(kwargs)
    return _Call(rest.pop("hidden_states"), (), rest)


def _adding(sums: Sums) -> Callable[..., None]:
    return lambda _module, inputs: sums.add(inputs[0])
