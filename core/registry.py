"""What can be added in one file: methods, metrics, formats and so on, each a group of entry points.

Our own stand in pyproject.toml, one line each, beside which another package's stand in its own: both are found in the
same way, and nothing that only needs to know which there are has to import them by name.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from compresslab.settings import Settings

OURS = "compresslab"  # the distribution whose faults are ours: they are raised, not told
LAST = 1000  # the place of what does not say where it belongs
NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")  # it stands in recipes, flags and addresses
T = TypeVar("T")
C = TypeVar("C")


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


class Registry(Mapping[str, T]):
    """What one group holds, by name, in the order in which people see it: by `rank`, `place`, then name.

    It is loaded when it is first asked for. `check` gives back what may be used, and raises TypeError or ValueError for
    what may not; `ours` stand before all others without being entry points, and nothing may have a name that is
    `taken`. One of another package that can't be used is told and left out.
    """

    def __init__(
        self,
        group: str,
        check: Callable[[Any], T],
        *,
        ours: Iterable[T] = (),
        taken: Callable[[], Iterable[str]] = tuple,
        rank: Callable[[T], int] = lambda thing: 0,
    ) -> None:
        self._group, self._check, self._ours, self._taken, self._rank = group, check, tuple(ours), taken, rank

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
        ours = {_name(thing): thing for thing in self._ours}
        found: dict[str, T] = {}
        broken: list[Broken] = []
        points = sorted(_all().select(group=self._group), key=lambda point: (_package(point) != OURS, point.name))
        for point in points:
            try:
                found[point.name] = self._load(point, {*ours, *found, *self._taken()})
            except Exception as error:  # whatever a stranger's module does when it is imported
                if _package(point) == OURS:
                    raise
                broken.append(Broken(self._group, point.name, _package(point), _reason(error)))
                logging.getLogger(OURS).warning("%s", broken[-1])
        in_order = sorted(found.values(), key=lambda thing: (self._rank(thing), _place(thing), _name(thing)))
        return ours | {_name(thing): thing for thing in in_order}, tuple(broken)

    def _load(self, point: EntryPoint, taken: Container[str]) -> T:
        """Raises TypeError for what does not belong to this group, ValueError for a name that does not fit."""
        if not NAME.fullmatch(point.name):
            raise ValueError("names are lower-case letters and digits, with _ or - between them")
        if point.name in taken:
            raise ValueError("the name is taken")
        thing = self._check(point.load())
        if _name(thing) != point.name:
            raise ValueError(f"it is named {_name(thing)!r}")
        return thing


def instance_of(kind: type[C]) -> Callable[[Any], C]:
    """A check for `Registry`: plain data of one kind."""

    def check(thing: Any) -> C:
        if not isinstance(thing, kind):
            raise TypeError(f"it is no {kind.__name__}")
        return thing

    return check


def subclass_of(contract: type[C]) -> Callable[[Any], type[C]]:
    """A check for `Registry`: a class that says all that its contract asks, and that can be made with its defaults."""

    def check(thing: Any) -> type[C]:
        if not (isinstance(thing, type) and issubclass(thing, contract)):
            raise TypeError(f"it is no {contract.__name__}")
        unsaid = [name for name in _declared(contract) if not hasattr(thing, name)]
        unsaid += sorted(getattr(thing, "__abstractmethods__", ()))
        if unsaid:
            raise TypeError(f"it does not say its {' and '.join(unsaid)}")
        if issubclass(thing, Settings):
            thing.parse({}, thing.__name__)
            thing.controls()
        return thing

    return check


def _declared(contract: type) -> list[str]:
    """What every class of a contract must say of itself: the ClassVars that the contract leaves open."""
    named = inspect.get_annotations(contract).items()
    return [name for name, kind in named if str(kind).startswith("ClassVar") and not hasattr(contract, name)]


@cache
def _all() -> Any:
    """What every installed package announces, to select from; reading it takes a twentieth of a second."""
    return entry_points()


def _place(thing: Any) -> int:
    return int(getattr(thing, "place", LAST))


def _name(thing: Any) -> str:
    return str(thing.name)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _reason(error: Exception) -> str:
    said = str(error).splitlines()[0].rstrip(".") if str(error) else "no reason given"
    return said if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {said}"
