"""Statistics from passes through the whole model: for two stacks that read each other, where no walk is in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from compresslab.engine.inputs.calibration import (
    BATCH_TOKENS,
    Group,
    InputStatistics,
    Sums,
    before_matrices,
    shared_inputs,
)
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import inputs_of
from torch import Tensor


def whole_statistics(
    model: CompressedModel,
    names: Sequence[str],
    sequences: Tensor,
    tell: Callable[[float], None],
    *,
    hessian: bool = True,
) -> Iterator[tuple[Group, InputStatistics]]:
    """Of all inputs at once, which are all held in memory until the last pass. Raises Cancelled where `tell` does."""
    sums = {group: Sums(hessian) for group in shared_inputs(model, names, sequences)}
    batches = sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))
    with before_matrices(model, {group[0]: sum_.hear for group, sum_ in sums.items()}), torch.no_grad():
        for number, batch in enumerate(batches):
            tell(number / len(batches))
            model.module.base_model(**inputs_of(model, batch.to(model.device)), use_cache=False)
    for group in list(sums):
        yield group, sums.pop(group).statistics(group, sequences.numel())
