"""What a method works with, beside the model that it changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

from compresslab.engine.inputs.block_walk import sequential_statistics
from compresslab.engine.inputs.cache import Origin, StatisticsCache, identity
from compresslab.engine.inputs.calibration import Group, InputStatistics
from compresslab.engine.job import Job
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import label
from compresslab.engine.steps.solution_cache import Solutions
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Loss
from compresslab.records.results import LossPoint
from torch import Tensor

T = TypeVar("T")
MEASURING, SEQUENTIAL = 1.5, 3.0  # what statistics cost for every token, in tokens that go through the model once


class Warm(Protocol):
    """What a process keeps from one step to the next: the part of its Session that steps may ask."""

    @property
    def statistics(self) -> StatisticsCache: ...

    @property
    def solutions(self) -> Solutions: ...

    def calibration(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> Tensor:
        """int64 [samples, sequence_length], in the order of the recipe's seed."""

    def taught(self, key: Hashable, make: Callable[[], T]) -> T:
        """What a teacher has said or written once."""


@dataclass
class StepContext:
    """What a method works with, beside the model that it changes."""

    job: Job
    session: Warm
    recipe: Recipe
    baseline: CompressedModel
    losses: list[LossPoint] = field(default_factory=list)
    reference: CompressedModel | None = None  # what the last step that renewed the model left; None: the baseline
    _measuring: float = 0.0  # the share of statistics in the step's work, and of both what is done
    _measured: float = 0.0

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def check(self) -> None:
        self.job.check()

    def tell(self, share: float) -> None:
        """How much of the work at hand is done, 0 to 1. Raises Cancelled when it shall stop."""
        self.job.check()
        self.job.tracker.advance(self._measured + (1 - self._measured) * share, 1.0)

    def tell_measuring(self, share: float) -> None:
        """As `tell`, for statistics that have to be taken before the work at hand."""
        self.job.check()
        if not self._measuring:
            self._measuring = self.job.tracker.extend(MEASURING * self.calibration().numel())
        self._measured = max(self._measured, self._measuring * share)
        self.job.tracker.advance(self._measured, 1.0)

    def each(self, items: Sequence[T]) -> Iterator[T]:
        """The items one by one, with progress told and cancellation seen between them."""
        for done, item in enumerate(items):
            self.tell(done / len(items))
            yield item

    def with_statistics(
        self, model: CompressedModel, names: Sequence[str], *, hessian: bool = True, drift: bool = False
    ) -> Iterator[tuple[Group, InputStatistics]]:
        """Matrices that share an input, and that input's statistics, in forward order, with progress and cancel.

        Change the weights of a group before asking for the next one: with sequential statistics the next ones see it.
        Without `hessian` there may be none of it, where taking it would cost much. With `drift` sequential ones know
        how far the inputs are from what they were before this step.
        """
        if self.recipe.calibration.statistics == "sequential":
            sequences = self.calibration()
            self.job.tracker.extend(SEQUENTIAL * sequences.numel())
            found = sequential_statistics(model, names, sequences, self.tell, hessian=hessian, drift=drift)
        else:
            wanted = set(names)
            kept = self.input_statistics(hessian=hessian).items()
            mine = [(tuple(name for name in group if name in wanted), statistics) for group, statistics in kept]
            found = self.each([(group, statistics) for group, statistics in mine if group])
        for group, statistics in found:
            yield group, statistics.heard_by(self.job.notice, group)

    def input_statistics(self, *, hessian: bool) -> dict[Group, InputStatistics]:
        """Of every weight matrix of the blocks, taken once from the source, whatever the recipe's mode."""
        return self.session.statistics.get(self._origin, self.job, self.tell_measuring, hessian=hessian)

    @property
    def source(self) -> CompressedModel:
        """The model that statistics are taken from: the baseline, or what the last step that renews has left."""
        return self.reference or self.baseline

    @property
    def _origin(self) -> Origin:
        text = label(self.recipe.calibration.text)
        return Origin(self.source, self.calibration(), self.recipe.model, text)

    @cached_property
    def statistics_id(self) -> str:
        """Names the input statistics by everything that they depend on; nothing is measured."""
        return identity(self.source, self.calibration(), hessian=True)

    def calibration(self) -> Tensor:
        """int64 [samples, sequence_length] of the recipe's calibration text, in the order of the seed."""
        return self.session.calibration(self.recipe, self.baseline, self.job)

    def loss(self, step: int, total: int, value: float) -> None:
        """Keep one point of the training curve and tell it."""
        self.losses.append(LossPoint(step=step, loss=value))
        self.job.report(Loss(step=step, total=total, loss=value))
