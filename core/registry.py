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
from typing import Generic, TypeVar

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
        kind = self.group.partition(".")[2].removesuffix("s")
        return f"The {kind} {self.name!r} of the package {self.package!r} is left out: {self.reason}."


class Registry(Mapping[str, type[T]], Generic[T]):
    """The classes of one group by their `name`, in the order in which people see them: by `place`, then by name.

    They are loaded when they are first asked for. One of another package that can't be used is told and left out.
    """

    def __init__(self, group: str, contract: type[T]) -> None:
        self._group, self._contract = group, contract

    def __getitem__(self, name: str) -> type[T]:
        return self._loaded[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded[0])

    def __len__(self) -> int:
        return len(self._loaded[0])

    @property
    def broken(self) -> tuple[Broken, ...]:
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[dict[str, type[T]], tuple[Broken, ...]]:
        found: dict[str, type[T]] = {}
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
        return dict(sorted(found.items(), key=lambda pair: (getattr(pair[1], "place", LAST), pair[0]))), tuple(broken)

    def _load(self, point: EntryPoint, found: Mapping[str, type[T]]) -> type[T]:
        """Raises TypeError for what is no class of this group, ValueError for a name that does not fit."""
        thing = point.load()
        if not (isinstance(thing, type) and issubclass(thing, self._contract)):
            raise TypeError(f"{point.value} is no {self._contract.__name__}")
        name = getattr(thing, "name", None)
        if name != point.name:
            raise ValueError(f"its class is named {name!r}")
        if name in found:
            raise ValueError(f"the name is taken by {_package_of(found[name])}")
        return thing


LAST = 1000  # the place of what does not say where it belongs


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _package_of(thing: type) -> str:
    return thing.__module__.partition(".")[0]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}".rstrip(".")
