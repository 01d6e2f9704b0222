"""A recipe held against a model: what becomes of every weight, what conflicts, what memory it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.anatomy import Task
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.models.source import locate
from compresslab.models.weights import WeightPlan
from compresslab.recipes import memory as free_memory
from compresslab.recipes.recipe import Recipe

HALF = {"F16": 2, "BF16": 2}  # bytes
OFFLOAD = "COMPRESSLAB_OFFLOAD"  # "1": block by block from disk, whatever would fit


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    facts: ModelFacts
    weights: tuple[WeightPlan, ...]  # as they will be stored when every step is done
    memory_need: int  # bytes at the peak, of the way in which it will run
    offloaded: bool  # block by block from disk: both models would not fit in memory

    @property
    def exact(self) -> bool:
        return all(w.exact for w in self.weights)


@dataclass(frozen=True)
class Fit:
    """A model held against the memory that is free for it, all in bytes."""

    need: int  # at the peak of the recipe's work
    memory: int
    offloaded: bool  # fits only because its blocks stay on disk
    parameters: int  # of the largest model that would do as this one does

    @property
    def fits(self) -> bool:
        return self.need <= self.memory


KINDS: dict[Task, Message] = {
    "causal": Message("model.causal"),
    "classification": Message("model.classifiers"),
    "seq2seq": Message("model.encoder_decoders"),
}


def make_plan(recipe: Recipe, facts: ModelFacts, memory: int | None = None) -> Plan:
    """Raises BadInput where steps conflict, settings do not fit the model, or `memory` in bytes would not do: what is
    free on this machine, unless whoever asks knows of another device."""
    _check_task(recipe, facts)
    for place, step in enumerate(recipe.steps):
        reason = step.conflict(recipe.steps[:place])
        if reason:
            raise BadInput("recipe.step", step=place + 1, problem=reason)
    weights = facts.weights
    for place, step in enumerate(recipe.steps):
        pattern = step.unmatched(weights)
        if pattern is not None:
            raise BadInput("overrides.no_match", step=place + 1, method=step.name, pattern=pattern, model=facts.name)
        try:
            weights = step.foresee(weights, facts)
        except BadInput as error:
            raise BadInput("recipe.step", step=place + 1, problem=error.message) from None
    room = fit(recipe, facts, memory)
    if not room.fits:
        raise BadInput(
            "recipe.no_memory",
            model=facts.name,
            needed=room.need / 1e9,
            memory=room.memory / 1e9,
            millions=room.parameters / 1e6,
        )
    return Plan(recipe, facts, weights, room.need, room.offloaded)


def check(recipe: Recipe) -> None:
    """Refuse nonsense before anything is loaded; a model that is still to be fetched is checked when it is here.

    Raises BadInput as `make_plan` does.
    """
    if locate(recipe.model).folder is not None:
        make_plan(recipe, read_facts(recipe.model))


def offloads(recipe: Recipe, facts: ModelFacts, memory: int) -> bool:
    """Whether the blocks stay on disk: where two models would not fit, or the environment wants it so.

    Training and new shapes need the whole model, and encoders are small enough to be whole.
    """
    if facts.task != "causal" or any(step.renews for step in recipe.steps):
        return False
    return os.environ.get(OFFLOAD) == "1" or memory_need(recipe, facts) > memory


def fit(recipe: Recipe, facts: ModelFacts, memory: int | None = None) -> Fit:
    """Whether the recipe's work on the model fits into `memory`, as in `make_plan`, and how large a model would."""
    memory = free_memory.available() if memory is None else memory
    offloaded = offloads(recipe, facts, memory)
    need = (offloaded_need if offloaded else memory_need)(recipe, facts)
    return Fit(need, memory, offloaded, facts.parameters * memory // need)


def offloaded_need(recipe: Recipe, facts: ModelFacts) -> int:
    """Bytes at the peak of work block by block: a block, its statistics and a solve, and what is not in blocks."""
    blocks: dict[int, int] = {}
    for weight in facts.weights:
        if weight.layer is not None:
            blocks[weight.layer] = blocks.get(weight.layer, 0) + weight.count
    outside = facts.parameters - sum(blocks.values())
    matrices = [w.shape for w in facts.weights if w.role == "linear"]
    widest, largest = max(columns for _, columns in matrices), max(rows * columns for rows, columns in matrices)
    inputs = (facts.hidden_size, facts.hidden_size, facts.heads.count * facts.heads.dim, facts.mlp_width)
    hessians = sum(d * d for d in inputs) + 8 * widest**2  # and what a factor takes to make
    hidden = recipe.calibration.samples * recipe.calibration.sequence_length * facts.hidden_size
    return 4 * (2 * max(blocks.values()) + outside + 12 * largest + hessians + hidden) + _logits(recipe, facts)


def _check_task(recipe: Recipe, facts: ModelFacts) -> None:
    for place, step in enumerate(recipe.steps):
        if facts.task not in step.tasks:
            raise BadInput(
                "recipe.wrong_task",
                step=place + 1,
                method=step.name,
                kind=KINDS[facts.task],
                model=facts.name,
                kinds=[KINDS[task] for task in step.tasks],
            )
    if facts.task == "seq2seq" and recipe.calibration.statistics == "sequential":
        raise BadInput("recipe.sequential_stacks")


def memory_need(recipe: Recipe, facts: ModelFacts) -> int:
    """Bytes at the peak: two float32 models, and four more of the student's size while it is trained.

    Beside both lies what they are made from: weights in half precision, and a byte each for codes or zeros.
    """
    copies = 2 + (4 if any(step.kind == "distill" for step in recipe.steps) else 0)
    stored = sum(w.count * (1 + 2 * HALF.get(w.dtype, 0)) for w in facts.weights)
    return copies * facts.parameters * 4 + stored + _logits(recipe, facts)


def _logits(recipe: Recipe, facts: ModelFacts) -> int:
    return recipe.evaluation.context_length * facts.vocab_size * 4 * 4
