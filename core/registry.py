"""What can be added in one file: methods, metrics, formats and so on, each a group of entry points.

Our own stand in pyproject.toml, one line each, beside which another package's stand in its own: both are found in the
same way, and nothing that only needs to know which there are has to import them by name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

OURS = "compresslab"  # the distribution whose faults are ours: they are raised, not told
T = TypeVar("T")


@dataclass(frozen=True)
class Broken:
    """A plug-in that is left out, and why."""

    group: str
    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        kinds = self.group.partition(".")[2]
        kind = f"{kinds[:-3]}y" if kinds.endswith("ies") else kinds.removesuffix("s")
        return f"The {kind} {self.name!r} of the package {self.package!r} is left out: {self.reason}."


class _Group(Mapping[str, T]):
    """What the entry points of one group name. They are loaded when they are first asked for.

    One of another package that can't be used is told and left out.
    """

    def __init__(self, group: str, ours: Mapping[str, T]) -> None:
        self._group, self._ours = group, ours

    def __getitem__(self, name: str) -> T:
        return self._loaded[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded[0])

    def __len__(self) -> int:
        return len(self._loaded[0])

    @property
    def broken(self) -> tuple[Broken, ...]:
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[dict[str, T], tuple[Broken, ...]]:
        found = dict(self._ours)
        broken: list[Broken] = []
        points = sorted(entry_points(group=self._group), key=lambda point: (_package(point) != OURS, point.name))
        for point in points:
            try:
                found[point.name] = self._load(point, found)
            except Exception as error:  # whatever a stranger's module does when it is imported
                if _package(point) == OURS:
                    raise
                broken.append(Broken(self._group, point.name, _package(point), _reason(error)))
                logging.getLogger(OURS).warning(str(broken[-1]))
        return self._in_order(found), tuple(broken)

    def _load(self, point: EntryPoint, found: Mapping[str, T]) -> T:
        """Raises TypeError for what does not belong to this group, ValueError for a name that does not fit."""
        thing: T = point.load()
        self._check(thing, point.value)
        name = getattr(thing, "name", None)
        if name != point.name:
            raise ValueError(f"it is named {name!r}")
        if name in found:
            raise ValueError(f"the name is taken by {_package_of(found[name])}")
        return thing

    def _check(self, thing: object, place: str) -> None:
        """Raises TypeError for what does not belong to this group."""
        raise NotImplementedError

    def _in_order(self, found: dict[str, T]) -> dict[str, T]:
        return found


class Registry(_Group[type[T]]):
    """The classes of one group by their `name`, in the order in which people see them: by `place`, then by name."""

    def __init__(self, group: str, contract: type[T]) -> None:
        super().__init__(group, {})
        self._contract = contract

    def _check(self, thing: object, place: str) -> None:
        if not (isinstance(thing, type) and issubclass(thing, self._contract)):
            raise TypeError(f"{place} is no {self._contract.__name__}")

    def _in_order(self, found: dict[str, type[T]]) -> dict[str, type[T]]:
        return dict(sorted(found.items(), key=lambda pair: (getattr(pair[1], "place", LAST), pair[0])))


class DataRegistry(_Group[T]):
    """Plain data of one kind by `name`: our own in the order given, then those of other packages."""

    def __init__(self, group: str, contract: type[T], ours: Mapping[str, T]) -> None:
        super().__init__(group, ours)
        self._contract = contract

    def _check(self, thing: object, place: str) -> None:
        if not isinstance(thing, self._contract):
            raise TypeError(f"{place} is no {self._contract.__name__}")


LAST = 1000  # the place of what does not say where it belongs


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _package_of(thing: object) -> str:
    return thing.__module__.partition(".")[0]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}".rstrip(".")
