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


def states_after_last_block(model: CompressedModel, batch: Tensor) -> Tensor:
    """[B, T] -> [B, T, H], by the model's own forward pass."""
    output = _answer(model, model.depth - 1, batch)
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states


def answers_in_tuple(model: CompressedModel) -> bool:
    """Whether blocks answer with a tuple: some families do. The first one is asked of one token."""
    with model.resident(0):
        return isinstance(_answer(model, 0, torch.zeros(1, 1, dtype=torch.long, device=model.device)), tuple)


def _answer(model: CompressedModel, layer: int, batch: Tensor) -> Any:
    """What a block answers with; nothing behind it is run."""
    seen: list[Any] = []

    def stop(_module: Any, _inputs: Any, output: Any) -> None:
        seen.append(output)
        raise Reached

    hook = model.block(layer).register_forward_hook(stop)
    try:
        with torch.inference_mode(), suppress(Reached):
            model.module.base_model(input_ids=batch, use_cache=False)
    finally:
        hook.remove()
    return seen[0]


def logits_after_last_block(model: CompressedModel, batch: Tensor, states: Tensor, *, in_tuple: bool) -> Tensor:
    """[B, T, V]: what the model makes of the hidden states [B, T, H] after its last block, given in a tuple or not."""
    answer = (states,) if in_tuple else states
    with model.replaced_blocks(lambda *_args, **_kwargs: answer), torch.inference_mode():
        logits: Tensor = model.module(input_ids=batch, use_cache=False).logits
    return logits


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
        self._in_tuple = answers_in_tuple(model)
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

    def last(self, number: int) -> Tensor:
        """[B, T, H]: as they are now."""
        return self._hidden[number]

    # -- inside -------------------------------------------------------------------------

    def _calls_of(self, batch: Tensor) -> list[_Call]:
        """What every block is called with beside its hidden states: positions and masks, which may differ by block.

        All pass on what they are given.
        """
        calls: list[_Call] = []

        def pass_on(*args: Any, **kwargs: Any) -> Any:
            call = _call(args, kwargs)
            calls.append(_Call(torch.empty(0), call.args, call.kwargs))
            return (call.hidden,) if self._in_tuple else call.hidden

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
