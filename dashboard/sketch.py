"""The recipe as the Studio holds it: every method as a block that is on or off, and its short form for the URL."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import quote, unquote

import yaml

from core import plain_yaml
from core.errors import BadInput
from core.methods import Method
from core.recipe import TEXTS, Recipe
from core.registry import METHODS
from core.settings import Settings

NOTHING = "baseline"  # the short form of a recipe without steps
WHOLE = "recipe"  # the section for what belongs to the recipe as a whole
WHOLE_KEYS = ("seed", "device", "dtype")


@dataclass(frozen=True)
class Block:
    """One step; off, it keeps its settings."""

    place: str  # the stem of its widgets' keys
    step: Method
    on: bool


@dataclass(frozen=True)
class Sketch:
    """`base` holds all of the recipe but its steps."""

    base: Recipe
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """The steps in their order, and every method that is not among them where it usually stands, off."""
        steps: list[tuple[Method, bool]] = [(step, True) for step in recipe.steps]
        order = list(METHODS)
        for name in order:
            if all(step.name != name for step, _ in steps):
                later = [i for i, (step, _) in enumerate(steps) if order.index(step.name) > order.index(name)]
                steps.insert(later[0] if later else len(steps), (METHODS[name](), False))
        return cls(recipe.replace(steps=()), tuple(_blocks(steps)))

    @property
    def recipe(self) -> Recipe:
        return self.base.replace(steps=tuple(block.step for block in self.blocks if block.on))

    def all_off(self) -> Self:
        return replace(self, blocks=tuple(replace(block, on=False) for block in self.blocks))


def _blocks(steps: list[tuple[Method, bool]]) -> list[Block]:
    seen: dict[str, int] = {}
    blocks = []
    for step, on in steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        suffix = f".{seen[step.name]}" if seen[step.name] > 1 else ""
        blocks.append(Block(f"step.{step.name}{suffix}", step, on))
    return blocks


# -- the short form: quantize_rtn,bits=3;evaluation,max_tokens=4096;recipe,seed=1 ------------------------------


def to_short(recipe: Recipe) -> str:
    """What differs from the defaults, the model left out."""
    parts = [_section(step.name, step) for step in recipe.steps] or [NOTHING]
    others: dict[str, Settings] = {name: getattr(recipe, name) for name in TEXTS}
    others |= {metric.name: metric for metric in recipe.metrics}
    parts += [text for name, settings in others.items() if "," in (text := _section(name, settings))]
    whole = {key: getattr(recipe, key) for key in WHOLE_KEYS if getattr(recipe, key) != getattr(Recipe(), key)}
    return ";".join([*parts, _joined(WHOLE, whole)] if whole else parts)


def from_short(text: str, model: str) -> Recipe:
    """Raises BadInput for anything that `to_short` would not write."""
    data = Recipe(model=model).to_dict()
    steps, metrics = [], {name: metric[name] for metric in data["metrics"] for name in metric}
    for part in filter(None, text.split(";")):
        name, values = _parsed(part)
        if name in METHODS:
            steps.append({name: values})
        elif name in metrics:
            metrics[name] |= values
        elif name in TEXTS:
            data[name] |= values
        elif name == WHOLE:
            data |= values
        elif name != NOTHING:
            raise BadInput(f"The address names {name!r}, which is no method; there are {', '.join(METHODS)}.")
    return Recipe.from_dict(data | {"steps": steps, "metrics": [{name: m} for name, m in metrics.items()]})


def _section(name: str, settings: Settings) -> str:
    changed = {c.name: v for c in settings.controls() if (v := getattr(settings, c.name)) != c.default}
    return _joined(name, changed)


def _joined(name: str, values: dict[str, Any]) -> str:
    return ",".join([name, *(f"{key}={quote(_text(value), safe='/. ')}" for key, value in values.items())])


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


def _parsed(part: str) -> tuple[str, dict[str, Any]]:
    name, *pairs = part.split(",")
    values = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        values[key] = _value(unquote(value))
    return name, values


def _value(text: str) -> Any:
    try:
        value = plain_yaml.load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float | list | dict) else text
