"""Recipes in users' words: what they want of the model, and which settings are expected to give it. No torch.

Nothing is run. Bytes are exact; quality is held against the prediction where the model was measured, and where it was
not, more bits are taken for better. That a kernel is faster is expected from the bytes it reads, until a run times it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from compresslab.errors import BadInput
from compresslab.models.facts import ModelFacts
from compresslab.planning.allocation import BITS, allocate
from compresslab.planning.estimate import Estimate, estimate
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.layerwise import Quantizer
from compresslab.recipes.method import METHODS, Method
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe

Goal = Literal["half", "fastest", "smallest"]
METHOD = "quantize_gptq"  # of the quantizers the one that loses least at 3 and 4 bits within a second
TELLS = 1.25  # perplexity over the baseline's, at the most, of a model that still tells a story
SAFE_BITS = 4  # what is hardly worse in most models: the least that is taken of a model that nobody measured
ROUNDS = 8  # of halving the interval between a size that does and one that does not: to 1 part in 256


@dataclass(frozen=True)
class Preset:
    goal: Goal
    recipe: Recipe
    estimate: Estimate

    @property
    def worst_ratio(self) -> float | None:
        """Of perplexity, at the upper end of the prediction; None where nothing is predicted."""
        return self.estimate.predicted.high if self.estimate.predicted else None


def choose(goal: Goal, recipe: Recipe, facts: ModelFacts, table: SensitivityTable | None) -> Preset:
    """The recipe with steps that meet the goal in place of its own. Raises BadInput where none do."""
    ways: dict[Goal, Callable[[_Chooser], Preset]] = {
        "half": _Chooser.half,
        "fastest": _Chooser.fastest,
        "smallest": _Chooser.smallest,
    }
    return ways[goal](_Chooser(goal, recipe.replace(steps=()), facts, table))


@dataclass(frozen=True)
class _Chooser:
    goal: Goal
    base: Recipe
    facts: ModelFacts
    table: SensitivityTable | None

    def half(self) -> Preset:
        """Within half the bytes, what is expected to lose least."""
        budget = self.facts.baseline_bytes // 2
        found = [p for p in (*self.uniform(), *self.fitted(budget)) if p.estimate.compressed_bytes <= budget]
        if not found:
            raise BadInput("preset.no_half", model=self.facts.name)
        return min(found, key=lambda p: (p.worst_ratio or float("inf"), -p.estimate.bits_per_weight))

    def fastest(self) -> Preset:
        """Of what still does, the fewest bytes a token; of those that read alike the finest."""
        found = [p for p in self.uniform() if self._does(p)]
        best = max(found, key=lambda p: (round(p.estimate.decode_bound, 2), p.estimate.bits_per_weight), default=None)
        if best is None or best.estimate.decode_bound <= 1:
            raise BadInput("preset.no_kernel", model=self.facts.name)
        return best

    def smallest(self) -> Preset:
        """The least bytes whose predicted perplexity stays within TELLS of the baseline's. Needs a table."""
        if self.table is None:
            raise BadInput("preset.not_measured", model=self.facts.name)
        low, high = 0, self.facts.baseline_bytes
        best: Preset | None = None
        for _ in range(ROUNDS):
            middle = (low + high) // 2
            found = next((p for p in self.fitted(middle) if self._does(p)), None)
            best = found or best
            low, high = (low, middle) if found else (middle, high)
        if best is None:
            raise BadInput("preset.no_size", model=self.facts.name, share=TELLS - 1)
        return best

    def uniform(self) -> Iterator[Preset]:
        """The same bits for every matrix, tables of words left alone or not."""
        for bits in BITS:
            for tables in (0, bits):
                yield from self._judged((_step(bits, tables),))

    def fitted(self, budget: int) -> Iterator[Preset]:
        """Bits matrix by matrix within the budget, where the model was measured."""
        for tables in (SAFE_BITS, 0):
            if self.table is not None:
                with suppress(BadInput):  # such a budget can't be met, or nothing like it was measured
                    plan = make_plan(self.base.replace(steps=(_step(SAFE_BITS, tables),)), self.facts)
                    yield from self._judged(allocate(plan, self.table, budget).steps)

    def _does(self, preset: Preset) -> bool:
        if preset.worst_ratio is not None:
            return preset.worst_ratio <= TELLS
        return all(step.bits >= SAFE_BITS for step in preset.recipe.steps if isinstance(step, Quantizer))

    def _judged(self, steps: tuple[Method, ...]) -> Iterator[Preset]:
        with suppress(BadInput):
            recipe = self.base.replace(steps=steps)
            yield Preset(self.goal, recipe, estimate(make_plan(recipe, self.facts), self.table))


def _step(bits: int, tables: int) -> Quantizer:
    step = METHODS[METHOD].parse({"bits": bits, "embedding_bits": tables, "head_bits": tables}, METHOD)
    assert isinstance(step, Quantizer)
    return step
