"""LRU caches that share one budget of bytes: what was not used for longest goes first, in whichever of them it is."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

V = TypeVar("V")
Part = tuple[str, int]  # the device and the address of a storage


class Budget:
    """Bytes for all caches made by `cache` together. A tensor that several values share counts once; one value that is
    larger than all of it is kept alone."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.taken = 0  # bytes
        self._sizes: OrderedDict[tuple[int, Hashable], tuple[LruCache[Any], dict[Part, int]]] = OrderedDict()  # by use
        self._holders: Counter[Part] = Counter()

    def cache(self, most: float = float("inf")) -> LruCache[Any]:
        """A new cache, of so many values at most."""
        return LruCache(self, most)

    def shed(self, most_bytes: int) -> None:
        """Let go what was not used for longest until so many bytes are left; the value used last stays."""
        while self.taken > most_bytes and len(self._sizes) > 1:
            (_, key), (cache, _) = next(iter(self._sizes.items()))
            del cache[key]

    def take_up(self, cache: LruCache[Any], key: Hashable, value: Any) -> None:
        parts = dict(storages(value))
        self._sizes[id(cache), key] = cache, parts
        for part, size in parts.items():
            self.taken += 0 if self._holders[part] else size
            self._holders[part] += 1
        self.shed(self.most_bytes)

    def use(self, cache: LruCache[Any], key: Hashable) -> None:
        self._sizes.move_to_end((id(cache), key))

    def let_go(self, cache: LruCache[Any], key: Hashable) -> None:
        for part, size in self._sizes.pop((id(cache), key))[1].items():
            self._holders[part] -= 1
            if not self._holders[part]:
                del self._holders[part]
                self.taken -= size


class LruCache(MutableMapping[Hashable, V]):
    """Values within a budget; looking one up is using it."""

    def __init__(self, budget: Budget, most: float) -> None:
        self._budget = budget
        self._most = most
        self._values: OrderedDict[Hashable, V] = OrderedDict()  # by use

    def __getitem__(self, key: Hashable) -> V:
        value = self._values[key]
        self._values.move_to_end(key)
        self._budget.use(self, key)
        return value

    def __setitem__(self, key: Hashable, value: V) -> None:
        if key in self._values:
            del self[key]
        while len(self._values) >= self._most:
            del self[next(iter(self._values))]
        self._values[key] = value
        self._budget.take_up(self, key, value)

    def __delitem__(self, key: Hashable) -> None:
        del self._values[key]
        self._budget.let_go(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def get_or_make(cache: MutableMapping[Hashable, V], key: Hashable, make: Callable[[], V]) -> V:
    """The value of a key, made and kept where there is none."""
    if key in cache:
        return cache[key]
    cache[key] = made = make()
    return made


def storages(value: Any) -> Iterator[tuple[Part, int]]:
    """What a value holds in memory, with its bytes: tensors, and weights of runtimes that are no tensors."""
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        yield (str(value.device), storage.data_ptr()), 0 if value.is_meta else storage.nbytes()
    elif hasattr(value, "weight_bytes"):
        yield ("runtime", id(value)), value.weight_bytes
    else:
        for part in _parts(value):
            yield from storages(part)


def _parts(value: Any) -> Iterator[Any]:
    """Not those of mappings that read from disk what they are asked for."""
    if hasattr(value, "in_memory"):
        yield from value.in_memory()
    elif isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    elif is_dataclass(value):
        yield from (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, tuple | list):
        yield from value
