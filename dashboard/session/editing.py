"""The recipe in hand, and what undo and redo bring back."""

from __future__ import annotations

from dataclasses import dataclass, field

from compresslab.messages import Message
from compresslab.models.source import BUNDLED
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.recipe.sketch import Sketch

FIRST_STEPS = ("quantize_gptq",)  # what a first visit finds switched on: 4 bits, small at once and hardly worse
UNDO_DEPTH = 50


def first_recipe() -> Recipe:
    return Recipe(model=BUNDLED, steps=tuple(METHODS[name]() for name in FIRST_STEPS))


@dataclass
class Editing:
    """`undone` is what undo took back, the last one last; `unfit` says why the recipe could not be made as small as was
    asked."""

    sketch: Sketch = field(default_factory=lambda: Sketch.of(first_recipe()))
    before: list[Sketch] = field(default_factory=list)
    undone: list[Sketch] = field(default_factory=list)
    unfit: Message | None = None

    def change(self, sketch: Sketch, *, remember: bool) -> None:
        if remember:
            self.before, self.undone = [*self.before[-UNDO_DEPTH:], self.sketch], []
        self.sketch = sketch

    def undo(self) -> Sketch | None:
        """What stood before; None where nothing did."""
        return self._step(self.before, self.undone)

    def redo(self) -> Sketch | None:
        return self._step(self.undone, self.before)

    def _step(self, source: list[Sketch], other: list[Sketch]) -> Sketch | None:
        if not source:
            return None
        other.append(self.sketch)
        return source.pop()
