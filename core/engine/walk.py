"""A model gone through block by block: the hidden states of all sequences are carried along, one block is at work.

Nothing outlives its block but those hidden states, so that a walk needs the memory of one block and its statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from core.engine.blocks import Carried, Reached
from core.engine.calibration import BATCH_TOKENS, Group, InputStatistics, Sums, before_matrices, shared_inputs
from core.engine.model import CompressedModel

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
        for group in shared_inputs(model, names, sequences) if names else []:
            layer = model.weights[group[0]].layer
            assert layer is not None, "only matrices of blocks have statistics of their inputs"
            self._groups.setdefault(layer, []).append(group)
        tell(0.0)
        self._carried = Carried(model, sequences.split(max(1, BATCH_TOKENS // sequences.shape[1])))
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

        def watch(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            sums.add(inputs[0])
            raise Reached

        with self._model.resident(layer), before_matrices(self._model, {group[0]: watch}):
            for number in range(len(self._carried)):
                self._tell(self._done + self._part * (place + number / len(self._carried)))
                try:
                    self._carried.run(layer, number)
                except Reached:
                    continue

    def step(self, layer: int, sums: dict[Group, Sums] | None = None) -> None:
        """Carry the hidden states through the block, adding up what its groups read on the way."""
        begun = 0 if sums else len(self._groups.get(layer, []))
        part = self._part * (len(self._groups.get(layer, [])) + 1 - begun)
        watchers = {group[0]: _adding(sum_) for group, sum_ in (sums or {}).items()}
        with self._model.resident(layer), before_matrices(self._model, watchers):
            for number in range(len(self._carried)):
                self._tell(self._done + self._part * begun + part * number / len(self._carried))
                self._carried.step(layer, number)


def _adding(sums: Sums) -> Callable[..., None]:
    return lambda _module, inputs: sums.add(inputs[0])
