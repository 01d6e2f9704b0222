"""What a model expects of windows of text, of several batches at once where its blocks come from disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from compresslab.engine.measuring.baseline_scores import Span
from compresslab.engine.models.blocks import (
    HiddenStates,
    answers_in_tuple,
    logits_after_last_block,
    states_after_last_block,
)
from compresslab.engine.models.model import CompressedModel
from torch import Tensor

AHEAD_BYTES = 256 * 2**20  # of hidden states that are carried through the blocks together


class Reader:
    """Log-probabilities of spans of windows, asked for in order. An offloaded model fetches each block once for many.

    `read` is what gives those of one batch of any model that is in memory.
    """

    def __init__(
        self,
        model: CompressedModel,
        windows: Tensor,
        spans: Sequence[Span],
        check: Callable[[], None],
        read: Callable[[CompressedModel, Tensor], Tensor],
    ) -> None:
        self._model, self._windows, self._spans = model, windows, list(spans)
        self._check, self._read = check, read
        self._carried_spans: dict[Span, tuple[HiddenStates, int]] = {}

    def __call__(self, span: Span) -> Tensor:
        """As `read` gives them, to the bit: float32 [B, S-1, V]."""
        if not self._model.offloaded:
            return self._read(self._model, self._batch(span))
        states, number = self._carried(span)
        return self.expected(span, states.last(number))

    def states(self, span: Span) -> Tensor:
        """[B, S, H]: the hidden states after the last block. They say all, and are small."""
        if not self._model.offloaded:
            return states_after_last_block(self._model, self._batch(span))
        states, number = self._carried(span)
        return states.last(number)

    def expected(self, span: Span, states: Tensor) -> Tensor:
        """float32 [B, S-1, V]: the log-probabilities that hidden states after the last block stand for."""
        logits = logits_after_last_block(self._model, self._batch(span), states, in_tuple=self._in_tuple)
        return torch.log_softmax(logits[:, :-1].float(), dim=-1)

    @cached_property
    def _in_tuple(self) -> bool:
        return answers_in_tuple(self._model)

    def _batch(self, span: Span) -> Tensor:
        return self._windows[slice(*span)].to(self._model.device)

    def _carried(self, span: Span) -> tuple[HiddenStates, int]:
        if span not in self._carried_spans:
            self._carried_spans = self._carried_through(list(self._next(span)))
        return self._carried_spans[span]

    def _next(self, span: Span) -> Iterator[Span]:
        """From this span on, as many as there is room for."""
        row = self._windows.shape[1] * self._model.facts.hidden_size * self._model.dtype.itemsize
        taken = 0
        for start, stop in self._spans[self._spans.index(span) :]:
            taken += (stop - start) * row
            if taken > AHEAD_BYTES and start > span[0]:
                return
            yield start, stop

    def _carried_through(self, spans: Sequence[Span]) -> dict[Span, tuple[HiddenStates, int]]:
        states = HiddenStates(self._model, [self._windows[slice(*span)] for span in spans])
        for layer in range(self._model.depth):
            with self._model.resident(layer):
                for number in range(len(spans)):
                    self._check()
                    states.step(layer, number)
        return {span: (states, number) for number, span in enumerate(spans)}
