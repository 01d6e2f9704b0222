"""A sweep: a recipe, and up to three settings that take several values each. Plain data; nothing is run here.

An axis is written `NAME.SETTING=VALUE,VALUE` as on the command line (`quantize_gptq.bits=2,3,4`). The kind of a step
stands for whichever step of that kind the recipe has: `quantize=quantize_rtn,quantize_gptq` tries both methods in its
place, and `quantize.bits=3,4` sets the bits of either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Literal, Self, get_args

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts
from compresslab.recipes.method import METHODS, Kind, Method
from compresslab.recipes.metric import METRICS
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import TEXTS, Recipe, control_of, typed
from pydantic import BaseModel, ConfigDict

MOST_AXES = 3
MOST_POINTS = 500
WHOLE = ("seed", "device", "dtype")  # what a recipe has once
KINDS: tuple[Kind, ...] = get_args(Kind)

Value = bool | int | float | str
SweepStage = Literal["draft", "final"]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Axis(_Plain):
    """One setting, or the method of a kind of step, and the values that it takes."""

    path: str
    values: tuple[Value, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadInput for what is not NAME.SETTING=VALUE,VALUE."""
        path, equals, listed = text.partition("=")
        values = tuple(typed(path.strip(), part.strip()) for part in listed.split(","))
        whole = all(isinstance(value, Value) and not _is_part_of_a_list(path.strip(), value) for value in values)
        if not equals or not path.strip() or not whole:
            raise BadInput("sweep.not_axis", given=text)
        return cls(path=path.strip(), values=values)

    @property
    def of_methods(self) -> bool:
        return self.path in KINDS


@dataclass(frozen=True)
class Point:
    """One combination. `aside` says why it makes no sense; it is None for those that are run."""

    coordinates: tuple[Value, ...]  # one value an axis, in the order of the axes
    recipe: Recipe | None
    aside: Message | None = None


class Sweep(_Plain):
    """Raises BadInput for axes that can't be swept over."""

    base: dict[str, Any]  # of a recipe, plain
    axes: tuple[Axis, ...]
    stage: SweepStage = "draft"

    @classmethod
    def over(cls, recipe: Recipe, axes: Iterable[Axis | str], stage: SweepStage = "draft") -> Self:
        parsed = tuple(Axis.parse(axis) if isinstance(axis, str) else axis for axis in axes)
        return cls(base=recipe.to_dict(), axes=parsed, stage=stage)

    def model_post_init(self, _context: Any) -> None:
        if not 1 <= len(self.axes) <= MOST_AXES:
            raise BadInput("sweep.axis_count", most=MOST_AXES, count=len(self.axes))
        for path, times in Counter(axis.path for axis in self.axes).items():
            if times > 1:
                raise BadInput("sweep.repeated_path", path=path, times=times)
        for axis in self.axes:
            if not axis.values or len(set(axis.values)) < len(axis.values):
                raise BadInput("sweep.bad_values", path=axis.path)
        if self.size > MOST_POINTS:
            raise BadInput("sweep.too_many", points=self.size, most=MOST_POINTS)

    @property
    def size(self) -> int:
        return prod(len(axis.values) for axis in self.axes)

    def points(self, facts: ModelFacts | None = None) -> list[Point]:
        """Every combination, in the order in which most is used again: what changes the texts or an early step changes
        seldom, so that statistics and the first steps of one point serve the next.

        With the model's `facts`, those that do not fit it are set aside. Raises BadInput where nothing is left.
        """
        base = Recipe.from_dict(self.base)
        order = sorted(range(len(self.axes)), key=lambda number: _turn(self.axes[number].path, base))
        points = [self._point(base, order, values, facts) for values in product(*(self.axes[n].values for n in order))]
        if all(point.aside is not None for point in points):
            raise BadInput("sweep.nothing_runs", problem=points[0].aside)
        return points

    def on_every_text(self) -> Iterator[Recipe]:
        """The base with every combination of those axes alone that change the texts. Raises BadInput for a base of
        another version."""
        axes = [axis for axis in self.axes if axis.path.partition(".")[0] in TEXTS]
        for values in product(*(axis.values for axis in axes)):
            recipe = Recipe.from_dict(self.base)
            for axis, value in zip(axes, values, strict=True):
                recipe = _with_setting(recipe, axis.path, value)
            yield recipe

    def _point(self, base: Recipe, order: Sequence[int], values: Sequence[Value], facts: ModelFacts | None) -> Point:
        coordinates = tuple(value for _, value in sorted(zip(order, values, strict=True)))
        try:
            recipe = self._recipe(base, coordinates)
            if facts is not None:
                make_plan(recipe, facts)
        except BadInput as reason:
            return Point(coordinates, None, reason.message)
        return Point(coordinates, recipe)

    def _recipe(self, base: Recipe, coordinates: Sequence[Value]) -> Recipe:
        """Methods first: settings are those of the method that stands there then."""
        given = list(zip(self.axes, coordinates, strict=True))
        for axis, value in sorted(given, key=lambda pair: not pair[0].of_methods):
            base = _with_method(base, axis.path, value) if axis.of_methods else _with_setting(base, axis.path, value)
        return base


def _is_part_of_a_list(path: str, value: Value) -> bool:
    """Of what was cut at its commas, where no name of a file is asked for."""
    control = control_of(path)
    return isinstance(value, str) and value[:1] in ("[", "{") and not (control and control.kind == "text")


def _turn(path: str, recipe: Recipe) -> tuple[int, bool]:
    """Axes with the lowest change least often: texts and seed, then the steps in their order, then what is measured."""
    owner, dot, _ = path.partition(".")
    if owner in METRICS:
        return len(recipe.steps) + 1, True
    places = [place for place, step in enumerate(recipe.steps) if owner in (step.name, step.kind)]
    if places:
        return places[0], bool(dot)
    return (-1, True) if owner in TEXTS or not dot else (len(recipe.steps), True)


def _with_method(recipe: Recipe, kind: str, name: Value) -> Recipe:
    """The step of that kind done by another method; settings that both have keep their values."""
    method = METHODS.get(str(name))
    if method is None or method.kind != kind:
        known = [m.name for m in METHODS.values() if m.kind == kind]
        raise BadInput("sweep.unknown_method", name=name, kind=Message(f"kind.{kind}"), methods=known)
    mine = _of_kind(recipe, kind)
    if mine is None:
        return recipe.replace(steps=(*recipe.steps, method()))
    changed = method.taking_over(mine) if mine.name != name else mine
    return recipe.replace(steps=tuple(changed if step is mine else step for step in recipe.steps))


def _with_setting(recipe: Recipe, path: str, value: Value) -> Recipe:
    owner, dot, name = path.partition(".")
    if not dot and owner not in WHOLE:
        raise BadInput("sweep.unknown_path", path=path)
    if dot and owner in KINDS:
        mine = _of_kind(recipe, owner)
        if mine is None:
            raise BadInput("sweep.no_step", kind=Message(f"kind.{owner}"), given=owner)
        owner = mine.name
    return recipe.with_value(f"{owner}.{name}" if dot else owner, value)


def _of_kind(recipe: Recipe, kind: str) -> Method | None:
    """The one step of that kind, or None. Raises BadInput for several."""
    mine = [step for step in recipe.steps if step.kind == kind]
    if len(mine) > 1:
        raise BadInput("sweep.several_steps", count=len(mine), kind=Message(f"kind.{kind}"), given=kind)
    return mine[0] if mine else None
