"""What became of matrices under some settings, so that a moved slider solves those alone that it touches."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from compresslab.engine.job import Job
from compresslab.engine.lru import Budget, LruCache
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

    def __init__(self, budget: Budget) -> None:
        self._kept: LruCache[_Solution] = budget.cache()
        self._digests = WeakIdKeyDictionary()  # tensors are never changed in place: one that is known stays as it is

    def content(self, model: CompressedModel, names: Sequence[str]) -> Hashable:
        """Of matrices as they are now."""
        return tuple((name, self._digest(model.stored[name]), self._digest(model.masks.get(name))) for name in names)

    def put_into(self, model: CompressedModel, names: Sequence[str], key: Hashable, job: Job) -> bool:
        """Change these matrices as it was done before, and say what was said then; False where nothing is known."""
        if key not in self._kept:
            return False
        solution = self._kept[key]
        for name, stored, mask in zip(names, solution.stored, solution.masks, strict=True):
            model.take_over(name, stored, mask)
        for said in solution.said:
            job.notice(said)
        return True

    def keep(self, model: CompressedModel, names: Sequence[str], key: Hashable, said: tuple[Message, ...]) -> None:
        """Keep the matrices as they are now."""
        stored, masks = tuple(model.stored[name] for name in names), tuple(model.masks.get(name) for name in names)
        self._kept[key] = _Solution(stored, masks, said)

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
