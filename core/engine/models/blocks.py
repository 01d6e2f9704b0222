"""The blocks of a model run one by one, outside its own forward pass, on batches whose hidden states are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from torch import Tensor


class Reached(Exception):
    """What was wanted of a forward pass is known: the rest of it is not run."""


@dataclass(frozen=True)
class _Call:
    """What a block is called with."""

    hidden: Tensor  # [B, T, H]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class HiddenStates:
    """The hidden states of batches of tokens, [B, T] each, before one block or after the last one."""

    def __init__(self, model: CompressedModel, batches: Sequence[Tensor]) -> None:
        self._model = model
        self._batches = [batch.to(model.device) for batch in batches]
        self._tuples = False  # whether blocks answer with a tuple
        shapes = {len(batch): batch for batch in self._batches}
        self._calls = {size: self._calls_of(batch) for size, batch in shapes.items()}
        self._hidden = [self._first_call(batch).hidden for batch in self._batches]

    def __len__(self) -> int:
        return len(self._batches)

    def run(self, layer: int, number: int) -> Tensor:
        """What the block makes of the hidden states of one batch: [B, T, H]."""
        hidden = self._hidden[number]
        call = self._calls[len(hidden)][layer]
        with torch.no_grad():
            output = self._model.block(layer)(hidden, *call.args, **call.kwargs)
        result: Tensor = output[0] if isinstance(output, tuple) else output
        return result

    def step(self, layer: int, number: int) -> None:
        self._hidden[number] = self.run(layer, number)

    def logits(self, number: int) -> Tensor:
        """What the model makes of the hidden states after its last block: [B, T, V]."""
        last = (self._hidden[number],) if self._tuples else self._hidden[number]
        with self._model.replaced_blocks(lambda *_args, **_kwargs: last), torch.no_grad():
            logits: Tensor = self._model.module(input_ids=self._batches[number], use_cache=False).logits
        return logits

    # -- inside -------------------------------------------------------------------------

    def _calls_of(self, batch: Tensor) -> list[_Call]:
        """What every block is called with beside its hidden states: positions and masks, which may differ by block.

        The first block runs once, to see in which form blocks answer; then all pass on what they are given.
        """
        calls: list[_Call] = []
        first = self._first_call(batch)
        with self._model.resident(0), torch.no_grad():
            self._tuples = isinstance(self._model.block(0)(first.hidden, *first.args, **first.kwargs), tuple)

        def pass_on(*args: Any, **kwargs: Any) -> Any:
            call = _call(args, kwargs)
            calls.append(_Call(torch.empty(0), call.args, call.kwargs))
            return (call.hidden,) if self._tuples else call.hidden

        with self._model.replaced_blocks(pass_on), torch.no_grad():
            self._model.module.base_model(input_ids=batch, use_cache=False)
        return calls

    def _first_call(self, batch: Tensor) -> _Call:
        """What the first block is called with."""
        seen: list[_Call] = []

        def stop(*args: Any, **kwargs: Any) -> None:
            seen.append(_call(args, kwargs))
            raise Reached

        with self._model.replaced_blocks(stop), torch.no_grad(), suppress(Reached):
            self._model.module.base_model(input_ids=batch, use_cache=False)
        return seen[0]


def _call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    if args:
        return _Call(args[0], args[1:], kwargs)
    rest = dict(kwargs)
    return _Call(rest.pop("hidden_states"), (), rest)
