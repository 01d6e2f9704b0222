"""The recipe as the Studio holds it: every step as a block that is on or off, and its short form for the URL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Self, get_args
from urllib.parse import quote, unquote

from compresslab.errors import BadInput
from compresslab.recipes.method import METHODS, Kind, Method
from compresslab.recipes.recipe import TEXTS, Recipe, typed
from compresslab.recipes.typed import text_of
from compresslab.settings import Settings

KINDS: tuple[Kind, ...] = get_args(Kind)  # in the order in which steps usually stand
# The best quality among those whose warm step takes less than a second on the bundled model.
USUAL: dict[Kind, str] = {"prune": "prune_sparsegpt", "distill": "distill_logits", "quantize": "quantize_gptq"}
NOTHING = "baseline"  # the short form of a recipe without steps
WHOLE = "recipe"  # the section for what belongs to the recipe as a whole
WHOLE_KEYS = ("seed", "device", "dtype", "runtime")


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
        """The steps in their order; a kind of step that is not among them stands where it usually does, off."""
        steps: list[tuple[Method, bool]] = [(step, True) for step in recipe.steps]
        for kind, name in USUAL.items():
            if all(step.kind != kind for step, _ in steps):
                later = [i for i, (step, _) in enumerate(steps) if _rank(step) > KINDS.index(kind)]
                steps.insert(later[0] if later else len(steps), (METHODS[name](), False))
        blocks: list[Block] = []
        for step, on in steps:
            blocks.append(Block(_free_place(step.kind, blocks), step, on))
        return cls(recipe.replace(steps=()), tuple(blocks))

    @property
    def recipe(self) -> Recipe:
        return self.base.replace(steps=tuple(block.step for block in self.blocks if block.on))

    def block(self, place: str) -> Block:
        return next(block for block in self.blocks if block.place == place)

    def all_off(self) -> Self:
        return replace(self, blocks=tuple(replace(block, on=False) for block in self.blocks))

    def with_steps(self, steps: Iterable[Method]) -> Self:
        """Other settings for the steps that are on, in their order."""
        left = iter(steps)
        return replace(self, blocks=tuple(replace(b, step=next(left)) if b.on else b for b in self.blocks))

    def with_step(self, place: str, step: Method) -> Self:
        """Other settings in one block."""
        return self._with(place, replace(self.block(place), step=step))

    def with_method(self, place: str, name: str) -> Self:
        """Another method in a block; settings that both have keep their values."""
        return self._with(place, replace(self.block(place), step=METHODS[name].taking_over(self.block(place).step)))

    def added(self, name: str) -> Self:
        """One more step, last, switched on."""
        step = METHODS[name]()
        return replace(self, blocks=(*self.blocks, Block(_free_place(step.kind, self.blocks), step, True)))

    def duplicated(self, place: str) -> Self:
        """The same step once more, right behind it; off where the two make no sense together."""
        block = self.block(place)
        at = self.blocks.index(block) + 1
        before = tuple(b.step for b in self.blocks[:at] if b.on)
        copy = Block(_free_place(block.step.kind, self.blocks), block.step, block.step.conflict(before) is None)
        return replace(self, blocks=(*self.blocks[:at], copy, *self.blocks[at:]))

    def removed(self, place: str) -> Self:
        return replace(self, blocks=tuple(block for block in self.blocks if block.place != place))

    def moved(self, place: str, by: int) -> Self:
        """The block so many places later; as far as the ends go."""
        blocks = [block for block in self.blocks if block.place != place]
        at = self.blocks.index(self.block(place)) + by
        blocks.insert(max(0, min(len(blocks), at)), self.block(place))
        return replace(self, blocks=tuple(blocks))

    def _with(self, place: str, block: Block) -> Self:
        return replace(self, blocks=tuple(block if old.place == place else old for old in self.blocks))


def _rank(step: Method) -> int:
    return KINDS.index(step.kind)


def _free_place(kind: Kind, blocks: Iterable[Block]) -> str:
    taken = {block.place for block in blocks}
    names = (f"step.{kind}" if n == 1 else f"step.{kind}.{n}" for n in count(1))
    return next(name for name in names if name not in taken)


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
            raise BadInput("recipe.address_method", name=name, methods=list(METHODS))
    return Recipe.from_dict(data | {"steps": steps, "metrics": [{name: m} for name, m in metrics.items()]})


def _section(name: str, settings: Settings) -> str:
    changed = {c.name: v for c in settings.controls() if (v := getattr(settings, c.name)) != c.default}
    return _joined(name, changed)


def _joined(name: str, values: dict[str, Any]) -> str:
    return ",".join([name, *(f"{key}={quote(text_of(value), safe='/. ')}" for key, value in values.items())])


def _parsed(part: str) -> tuple[str, dict[str, Any]]:
    name, *pairs = part.split(",")
    values = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        values[key] = typed(key if name == WHOLE else f"{name}.{key}", unquote(value))
    return name, values
