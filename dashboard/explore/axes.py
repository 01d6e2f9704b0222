"""What a recipe lets one sweep over, how it is called, and which values are offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compresslab.recipes.method import METHODS, Kind
from compresslab.recipes.metric import METRICS
from compresslab.recipes.recipe import TEXTS, Recipe
from compresslab.recipes.sweep import KINDS, Axis, Value
from compresslab.recipes.typed import value_of
from compresslab.settings import Control, Settings
from compresslab_dashboard.explore.scene import SceneAxis
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.texts import Words

SEED = "seed"
USUAL = 4  # values that a setting begins with
USUAL_METHODS = 3
MOST_STOPS = 24


@dataclass(frozen=True)
class Choice:
    """Something to sweep over. Without a `control` it is the method of the kind that `path` names, or the seed."""

    path: str
    owner: str
    control: Control | None
    offered: tuple[Value, ...]
    usual: tuple[Value, ...]


def choices(base: Recipe) -> dict[str, Choice]:
    """By path: the steps' methods and settings first, then texts and seed."""
    found: list[Choice] = []
    times = Counter(step.kind for step in base.steps)
    for step in reversed(base.steps):  # what is nearest to the result, and quickest to vary, first
        single = times[step.kind] == 1
        if single:
            found.append(_method_choice(step.kind, step.name))
        found += _setting_choices(step.kind if single else step.name, step.name, step)
    found += _setting_choices("calibration", "calibration", base.calibration, only=("samples", "sequence_length"))
    found.append(Choice(SEED, SEED, None, tuple(range(10)), (0, 1, 2)))
    return {choice.path: choice for choice in found}


def first_axes(base: Recipe) -> list[str]:
    """What a first visit finds chosen: the method of the last step that has one, over its first setting."""
    paths = list(choices(base))
    kinds = [path for path in paths if path in KINDS]
    settings = [path for path in paths if kinds and path.startswith(f"{kinds[0]}.")]
    return [*settings[:1], *kinds[:1]] or paths[:1]


def _method_choice(kind: Kind, current: str) -> Choice:
    offered = tuple(name for name, method in METHODS.items() if method.kind == kind)
    first = METHODS[current].controls()[0].name
    alike = [name for name in offered if first in METHODS[name].model_fields and name != current]
    chosen = {current, *alike[: USUAL_METHODS - 1]}
    return Choice(kind, kind, None, offered, tuple(name for name in offered if name in chosen))


def _setting_choices(path: str, owner: str, settings: Settings, only: tuple[str, ...] = ()) -> list[Choice]:
    found = []
    for control in settings.controls():
        offered = _offered(control, getattr(settings, control.name))
        if offered and (not only or control.name in only):
            usual = _usual(offered, getattr(settings, control.name))
            found.append(Choice(f"{path}.{control.name}", owner, control, offered, usual))
    return found


def _offered(control: Control, value: Any) -> tuple[Value, ...]:
    """Empty for what has no values that could be listed."""
    if control.kind == "choice":
        return control.choices
    if control.kind == "flag":
        return (False, True)
    if control.kind not in ("integer", "number"):
        return ()
    stops = forms.scale(control, value)
    if not stops and forms.places(control) <= MOST_STOPS:
        count = round(forms.places(control)) + 1
        stops = [_rounded(control, (control.minimum or 0) + n * (control.step or 1)) for n in range(count)]
    return tuple(sorted({*stops, value}))


def _rounded(control: Control, value: float) -> Value:
    return int(value) if control.kind == "integer" else round(value, 6)


def _usual(offered: tuple[Value, ...], value: Any) -> tuple[Value, ...]:
    """A few around the value that the recipe has."""
    stride = max(1, len(offered) // (2 * USUAL))
    place = offered.index(value)
    start = max(0, min(place - 2 * stride, len(offered) - 1 - (USUAL - 1) * stride))
    return tuple(dict.fromkeys((*offered[start : start + USUAL * stride : stride],)))


def typed(choice: Choice, values: Sequence[Any]) -> tuple[Value, ...]:
    """What was chosen or typed, as values, in the order in which they are offered; what can't be one stays a text."""
    read = [value_of(choice.control, v) if isinstance(v, str) and choice.control is not None else v for v in values]
    order = {value: place for place, value in enumerate(choice.offered)}
    numbers = all(isinstance(v, int | float) for v in read)
    return tuple(dict.fromkeys(sorted(read, key=lambda v: v if numbers else order.get(v, len(order)))))


# -- in words --------------------------------------------------------------------------------------------------


def scene_axis(axis: Axis, base: Recipe, words: Words) -> SceneAxis:
    texts = tuple(value_text(axis.path, value, base, words) for value in axis.values)
    _, control = _control(axis.path, base)
    speaks = axis.of_methods or (control is not None and control.unit != "")
    return SceneAxis(axis_text(axis.path, base, words), axis.values, texts, speaks, axis.of_methods)


def axis_text(path: str, base: Recipe, words: Words) -> str:
    """ "Bit width", "Method (quantize)", "Pruning rate"."""
    if path in KINDS:
        return words("explore.method", kind=words(f"kind.{path}"))
    if path == SEED:
        return words("recipe.seed")
    owner, control = _control(path, base)
    return path if control is None else words.control(owner, control).name


def value_text(path: str, value: Value, base: Recipe, words: Words) -> str:
    if path in KINDS:
        return _method_text(str(value), words)
    owner, control = _control(path, base)
    if control is None:
        return str(value)
    if control.kind == "flag":
        return words("explore.on" if value else "explore.off")
    if control.kind == "number" and control.maximum is not None and control.maximum <= 1:
        return f"{100 * float(value):g} %"
    return words.control(owner, control).choice(value)


def _method_text(name: str, words: Words) -> str:
    """As the literature names it, or as recipes do: a whole title has no room beside a chart."""
    short = words.short_title(name)
    if short != words.title(name):
        return short
    last = name.rpartition("_")[2]
    return last.upper() if len(last) <= 3 else last.capitalize()


def _control(path: str, base: Recipe) -> tuple[str, Control | None]:
    """The setting that a path names, with its owner; None where this version has no such setting."""
    stem, _, name = path.partition(".")
    kinds: dict[str, type[Settings]] = {**METHODS, **METRICS, **TEXTS}
    owner = next((step.name for step in base.steps if step.kind == stem), stem)
    if owner in KINDS:  # the sweep itself brings the step
        owner = next((n for n, m in METHODS.items() if m.kind == owner and name in m.model_fields), owner)
    controls = kinds[owner].controls() if owner in kinds else []
    return owner, next((control for control in controls if control.name == name), None)
