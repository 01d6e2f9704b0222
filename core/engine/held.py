"""What may be needed again, held in memory within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import psutil
from torch import Tensor

T = TypeVar("T")


class Held(Generic[T]):
    """Least recently used goes first."""

    def __init__(self, share_of_memory: float, most_bytes: int) -> None:
        self._budget = min(most_bytes, int(share_of_memory * psutil.virtual_memory().total))
        self._bytes = 0
        self._items: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        made = make()
        self._items[key] = made
        self._bytes += bytes_of(made)
        while self._bytes > self._budget and len(self._items) > 1:
            self._bytes -= bytes_of(self._items.popitem(last=False)[1])
        return made


def bytes_of(value: Any) -> int:
    """Of the tensors in a value."""
    if isinstance(value, Tensor):
        return value.nbytes
    if is_dataclass(value):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple | list):
        return sum(bytes_of(item) for item in value)
    return 0
