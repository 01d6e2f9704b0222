"""What was used lately stays in memory; what was not goes, however large it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The most recently used few of something."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[tuple[Any, ...], T] = OrderedDict()

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self._items

    def peek(self, key: tuple[Any, ...]) -> T:
        self._items.move_to_end(key)
        return self._items[key]

    def put(self, key: tuple[Any, ...], item: T) -> None:
        self._items[key] = item
        self._items.move_to_end(key)
        while len(self._items) > self._most:
            self._items.popitem(last=False)

    def get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key not in self._items:
            self.put(key, make())
        return self.peek(key)
