"""A recipe held against a model: what becomes of every weight, what conflicts, what memory it needs."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from core.errors import BadInput
from core.model_facts import ModelFacts
from core.recipe import Recipe
from core.weights import WeightPlan


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    facts: ModelFacts
    weights: tuple[WeightPlan, ...]  # as they will be stored when every step is done
    memory_need: int  # bytes: baseline and compressed weights in float32, activations and optimizer

    @property
    def exact(self) -> bool:
        return all(w.exact for w in self.weights)


def make_plan(recipe: Recipe, facts: ModelFacts) -> Plan:
    """Raises BadInput where steps conflict, settings do not fit the model, or memory would not do."""
    for place, step in enumerate(recipe.steps):
        reason = step.conflict(recipe.steps[:place])
        if reason:
            raise BadInput(f"Step {place + 1}: {reason}")
    weights = facts.weights
    for place, step in enumerate(recipe.steps):
        pattern = step.unmatched(weights)
        if pattern is not None:
            raise BadInput(f"Step {place + 1}: {step.name} names {pattern!r}, which matches no weight of {facts.name}.")
        try:
            weights = step.foresee(weights, facts)
        except BadInput as error:
            raise BadInput(f"Step {place + 1}: {error}") from None
    plan = Plan(recipe, facts, weights, memory_need(recipe, facts))
    _check_memory(plan)
    return plan


def memory_need(recipe: Recipe, facts: ModelFacts) -> int:
    """Bytes at the peak: two float32 models, and four more of the student's size while it is trained."""
    copies = 2 + (4 if any(step.kind == "distill" for step in recipe.steps) else 0)
    logits = recipe.evaluation.context_length * facts.vocab_size * 4 * 4
    return copies * facts.parameters * 4 + logits


def _check_memory(plan: Plan) -> None:
    here = psutil.virtual_memory().total
    if plan.memory_need > here:
        largest = plan.facts.parameters * here / plan.memory_need / 1e6
        raise BadInput(
            f"{plan.facts.name} needs about {plan.memory_need / 1e9:.1f} GB for this recipe and this machine has "
            f"{here / 1e9:.1f} GB; a model of up to {largest:,.0f} million parameters would fit."
        )
