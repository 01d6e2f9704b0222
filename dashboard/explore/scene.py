"""What all charts of the page draw: dots, the settings they differ in, and which two measures they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from compresslab.recipes.sweep import Value
from compresslab_dashboard.explore.dots import Dot, front, measured
from compresslab_dashboard.explore.readings import MEASURES, Number
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.texts import Words, formats

FACTOR = 10.0  # from here on a perplexity is told as times the baseline's


@dataclass(frozen=True)
class SceneAxis:
    """A setting as it is read, with its values in their order."""

    label: str
    values: tuple[Value, ...]
    texts: tuple[str, ...]
    speaks: bool = False  # its values say what they are: "4 bit", "GPTQ"; "30 %" does not
    of_methods: bool = False

    def text(self, value: Value) -> str:
        return self.texts[self.values.index(value)]

    def told(self, value: Value) -> str:
        """The value where its axis is not in sight."""
        return self.text(value) if self.speaks else f"{self.label} {self.text(value)}"


@dataclass(frozen=True)
class Scene:
    """`name` stays while the same is drawn with the same measures: zoom lives as long. `picked` is a dot's name."""

    name: str
    axes: tuple[SceneAxis, ...]
    dots: tuple[Dot, ...]
    quality: str
    cost: str
    picked: str | None = None

    @cached_property
    def placed(self) -> list[Dot]:
        """Those that can stand on the chart of cost against quality."""
        return measured(self.dots, self.cost, self.quality)

    @cached_property
    def front(self) -> set[str]:
        return front(self.placed, self.cost, self.quality)

    @cached_property
    def foreseen(self) -> dict[str, Dot]:
        """By name, those without a number that have an estimate, as they would stand were it true."""
        expected = (replace(dot, reading=dot.estimate) for dot in self.dots if dot.reading is None)
        return {dot.name: dot for dot in measured(expected, self.quality)}

    def where(self, axis: int, value: Value) -> Scene:
        """The part with that value, without that axis."""
        left = [n for n in range(len(self.axes)) if n != axis]
        dots = tuple(
            replace(dot, coordinates=tuple(dot.coordinates[n] for n in left))
            for dot in self.dots
            if dot.coordinates[axis] == value
        )
        return replace(self, axes=tuple(self.axes[n] for n in left), dots=dots)


def dot_text(dot: Dot, axes: Sequence[SceneAxis], words: Words) -> str:
    """What sets the dot apart: its values, or its recipe where it is no part of a sweep."""
    if axes:
        pairs = zip(axes, dot.coordinates, strict=True)
        return words("explore.and").join(axis.told(value) for axis, value in pairs)
    return steps_text(dot.reading.recipe, words) if dot.reading else dot.name


def number_text(measure: str, number: Number | None, words: Words, *, error: bool = True) -> str:
    """As people read it: +4.2 ± 0.3 %, 91 %, 4.1× smaller."""
    if number is None:
        return formats.UNKNOWN
    value, spread = number
    known = (spread or None) if error else None
    if measure == "perplexity":
        if value >= FACTOR:
            return formats.times(value)
        return formats.change(100 * (value - 1), None if known is None else 100 * known)
    if measure in ("accuracy", "flipped"):
        return formats.share(value, known)
    if MEASURES[measure].better == "lower":
        return formats.times(1 / value) if value else formats.UNKNOWN
    return f"{formats.with_error(value, known, 2)}×"


def told(dot: Dot, measure: str, words: Words) -> str:
    """The dot's number with its error, and that its speed is simulated where it is."""
    text = number_text(measure, dot.number(measure), words)
    simulated = dot.reading is not None and measure in dot.reading.simulated
    return f"{text} ({words('kernel.simulated')})" if simulated else text


def on_axis(measure: str, value: float) -> float:
    """In the unit of the chart's axis: shares in percent, factors as they are."""
    return 100 * value if axis_suffix(measure) == " %" else value


def axis_suffix(measure: str) -> str:
    return "×" if measure in ("perplexity", "decode", "prefill") else " %"
