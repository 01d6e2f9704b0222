"""Compression methods: one file each, listed in `compresslab.registry`.

A method is its settings: a frozen object that can foresee its effect on shapes and bytes without torch,
and apply itself to a model with it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self, get_args

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.anatomy import Task
from compresslab.models.facts import ModelFacts
from compresslab.models.weights import WeightPlan
from compresslab.registry import LAST, Registry, subclass_of
from compresslab.settings import Settings

Kind = Literal["prune", "distill", "quantize"]


class Method(Settings):
    """One step of a recipe."""

    name: ClassVar[str]
    place: ClassVar[int] = LAST  # its place among the methods of its kind
    title: ClassVar[str]
    kind: ClassVar[Kind]
    summary: ClassVar[str]
    paper: ClassVar[str]
    phrase: ClassVar[str] = ""  # the step in a few words, its settings in braces: "{bits} bit"; empty: the title
    stage: ClassVar[str] = ""  # what it does while it works: "Rounding to fewer bits"; empty: the title
    cases: ClassVar[tuple[dict[str, Any], ...]] = ()  # settings that tests try; empty: what follows from the ranges
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification", "seq2seq")  # of the models that it knows
    renews: ClassVar[bool] = False  # what it leaves is a model of its own: later statistics are taken from that one

    @classmethod
    def taking_over(cls, old: Method) -> Self:
        """This method with what was changed in another one, as far as it can be said here."""
        step, usual = cls(), type(old)()
        shared = set(cls.model_fields) & set(type(old).model_fields)
        for name in (name for name in shared if getattr(old, name) != getattr(usual, name)):
            try:
                step = cls.parse(step.model_dump() | {name: getattr(old, name)}, cls.name)
            except BadInput:  # the same name, but other values: this method's own default stays
                continue
        return step

    def conflict(self, before: tuple[Method, ...]) -> Message | None:
        """Why this step makes no sense after those, in one sentence that says what would; None if it does."""
        return None

    def unmatched(self, weights: tuple[WeightPlan, ...]) -> str | None:
        """A name pattern in the settings that fits no weight of the model; None if there is none."""
        return None

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        """What the step will make of every weight of a model that began as `facts` say: exact where that can be known.

        Raises BadInput for settings that this model can't take.
        """
        return weights

    def cost(self, sequence_length: int) -> float:
        """Expected work, in tokens that go through the model once: for the progress bar alone."""
        return 2_000.0

    @abstractmethod
    def apply(self, model: Any, context: Any) -> None:
        """Change the model in place. Raises Cancelled when the context says so.

        They are an engine.models.model.CompressedModel and an engine.steps.context.StepContext; a method says so, here
        it can't be said: the engine stands above.
        """


def _usable(thing: Any) -> type[Method]:
    method = subclass_of(Method)(thing)
    if method.kind not in get_args(Kind):
        raise ValueError(f"its kind is {method.kind!r}; it takes one of {', '.join(get_args(Kind))}")
    if not method.name.startswith(f"{method.kind}_"):
        raise ValueError(f"its name does not begin with {method.kind}_")
    return method


METHODS: Registry[type[Method]] = Registry(
    "compresslab.methods", _usable, rank=lambda method: get_args(Kind).index(method.kind)
)
