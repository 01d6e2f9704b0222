"""What became of matrices under some settings, so that a moved slider solves those alone that it touches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from cachetools import LRUCache
from compresslab.engine.job import Job
from compresslab.engine.lru import get_or_make, lru_by_bytes
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.messages import Message
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class _Solution:
    stored: tuple[Tensor | QuantizedWeight, ...]
    masks: tuple[Tensor | None, ...]
    said: tuple[Message, ...]


class Solutions:
    """By what they were made from: weights and earlier zeros by content, settings, statistics."""

    def __init__(self) -> None:
        self._kept: LRUCache[Hashable, _Solution] = lru_by_bytes(4 * 2**30, share_of_memory=1 / 16)
        self._digests = WeakIdKeyDictionary()  # tensors are never changed in place: one that is known stays as it is

    def solve(
        self, model: CompressedModel, names: Sequence[str], key: Hashable, job: Job, make: Callable[[], None]
    ) -> None:
        """Let `make` change these matrices of the model, or change them as it did before. Notices are said again."""
        fresh: list[bool] = []

        def made() -> _Solution:
            before = len(job.said)
            make()
            fresh.append(True)
            masks = tuple(model.masks.get(name) for name in names)
            return _Solution(tuple(model.stored[name] for name in names), masks, tuple(job.said[before:]))

        content = tuple((name, self._digest(model.stored[name]), self._digest(model.masks.get(name))) for name in names)
        solution = get_or_make(self._kept, (key, content), made)
        if fresh:
            return
        for name, stored, mask in zip(names, solution.stored, solution.masks, strict=True):
            model.take_over(name, stored, mask)
        for said in solution.said:
            job.notice(said)

    def _digest(self, value: Tensor | QuantizedWeight | None) -> str:
        if isinstance(value, QuantizedWeight):
            parts = (value.codes, *value.parameters.values())
            return " ".join([*(self._digest(part) for part in parts), str(value.grid)])
        if value is None:
            return ""
        if value not in self._digests:
            plain = value.contiguous().cpu().flatten().view(torch.uint8).numpy()
            self._digests[value] = hashlib.sha256(plain.data).hexdigest()
        return str(self._digests[value])
