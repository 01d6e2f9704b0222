"""LRU caches within a budget of bytes: what was not used for longest goes first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import psutil
from cachetools import LRUCache
from torch import Tensor

V = TypeVar("V")


def lru_by_bytes(most_bytes: int, share_of_memory: float = 1.0) -> LRUCache[Hashable, Any]:
    """Values that hold tensors, of so many bytes together; one that is larger than all of it is kept alone."""
    budget = min(most_bytes, int(share_of_memory * psutil.virtual_memory().total))
    return LRUCache(budget, getsizeof=lambda value: min(budget, bytes_of(value)))


def get_or_make(cache: LRUCache[Hashable, V], key: Hashable, make: Callable[[], V]) -> V:
    """The value of a key, made and kept where there is none."""
    if key not in cache:
        cache[key] = make()
    return cache[key]


def bytes_of(value: Any) -> int:
    """Of the tensors in a value."""
    if isinstance(value, Tensor):
        return value.nbytes
    if is_dataclass(value):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return sum(bytes_of(item) for item in value.values())
    if isinstance(value, tuple | list):
        return sum(bytes_of(item) for item in value)
    return 0
