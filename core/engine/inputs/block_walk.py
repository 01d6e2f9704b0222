"""A model gone through block by block: the hidden states of all sequences are carried along, one block is at work.

Nothing outlives its block but those hidden states, so that a walk needs the memory of one block and its statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from compresslab.engine.inputs.calibration import (
    BATCH_TOKENS,
    Group,
    InputStatistics,
    Sums,
    before_matrices,
    shared_inputs,
)
from compresslab.engine.models.blocks import HiddenStates, Reached
from compresslab.engine.models.model import CompressedModel
from torch import Tensor, nn

Tell = Callable[[float], None]  # hears the share that is done; raises Cancelled


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
    model: CompressedModel,
    names: Sequence[str],
    sequences: Tensor,
    tell: Tell,
    *,
    hessian: bool = True,
    drift: bool = False,
) -> Iterator[tuple[Group, InputStatistics]]:
    """Statistics of one input after the other, each with the weights as they are then.

    Change the matrices of a group before asking for the next one (as GPTQ's "true sequential" order does). With `drift`
    they know how the input differs from what it was before the first of them was changed: a second walk beside.
    """
    walk = Walk(model, names, sequences, tell, beside=model.copy() if drift else None)
    for layer, groups in walk.layers():
        for place, group in enumerate(groups):
            sums = Sums(hessian)
            walk.read(layer, group, sums, place)
            yield group, sums.statistics(group, sequences.numel())
        walk.step(layer)


class Walk:
    """The hidden states before one block, of all sequences, and `beside` them those of a model that stays as it is.

    Raises Cancelled whenever `tell` does.
    """

    def __init__(
        self,
        model: CompressedModel,
        names: Sequence[str],
        sequences: Tensor,
        tell: Tell,
        *,
        beside: CompressedModel | None = None,
    ) -> None:
        self._model, self._beside, self._tell = model, beside, tell
        self._groups: dict[int, list[Group]] = {}
        for group in shared_inputs(model, names, sequences) if names else []:
            self._groups.setdefault(model.layer_of(group[0]), []).append(group)
        tell(0.0)
        batches = sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))
        self._states = HiddenStates(model, batches)
        self._states_beside = None if beside is None else HiddenStates(beside, batches)
        self._done = self._part = 0.0

    def layers(self) -> Iterator[tuple[int, list[Group]]]:
        """Blocks up to the last one that is asked for, each with its groups in forward order."""
        last = max(self._groups, default=-1)
        for layer in range(last + 1):
            self._done = layer / (last + 1)
            self._part = 1 / (last + 1) / (len(self._groups.get(layer, [])) + 1)
            yield layer, self._groups.get(layer, [])

    def read(self, layer: int, group: Group, sums: Sums, place: int) -> None:
        """Add up what this group reads; the block is not run any further than there."""
        with self._resident(layer):
            for number in range(len(self._states)):
                self._tell(self._done + self._part * (place + number / len(self._states)))
                inputs = _reached(self._model, self._states, layer, number, group[0])
                meant = None
                if self._beside is not None and self._states_beside is not None:
                    meant = _reached(self._beside, self._states_beside, layer, number, group[0])
                sums.add(inputs, meant)

    def step(self, layer: int, sums: dict[Group, Sums] | None = None) -> None:
        """Carry the hidden states through the block, adding up what its groups read on the way."""
        begun = 0 if sums else len(self._groups.get(layer, []))
        part = self._part * (len(self._groups.get(layer, [])) + 1 - begun)
        watchers = {group[0]: sum_.hear for group, sum_ in (sums or {}).items()}
        with self._resident(layer), before_matrices(self._model, watchers):
            for number in range(len(self._states)):
                self._tell(self._done + self._part * begun + part * number / len(self._states))
                self._states.step(layer, number)
                if self._states_beside is not None:
                    self._states_beside.step(layer, number)

    @contextmanager
    def _resident(self, layer: int) -> Iterator[None]:
        beside = nullcontext() if self._beside is None else self._beside.resident(layer)
        with self._model.resident(layer), beside:
            yield


def _reached(model: CompressedModel, states: HiddenStates, layer: int, number: int, name: str) -> Tensor:
    """What one matrix of a block reads of one batch: [B, T, d]."""
    read: list[Tensor] = []

    def watch(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        read.append(inputs[0])
        raise Reached

    with before_matrices(model, {name: watch}), suppress(Reached):
        states.run(layer, number)
    return read[0]
