"""What methods and metrics may ask of the job that they are part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from compresslab.engine.inputs.calibration import Group, InputStatistics
from compresslab.engine.inputs.walk import sequential_statistics
from compresslab.engine.measuring.examples import ClassScores
from compresslab.engine.measuring.scores import QuestionScores, Shared, TokenScores
from compresslab.engine.measuring.sources import answer_source, class_source, question_source, token_source
from compresslab.engine.models.device import threads_for
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.progress import Report, Tracker
from compresslab.errors import Cancelled
from compresslab.messages import Message, message
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Loss, Notice
from compresslab.records.results import LossPoint, Stage
from torch import Tensor

if TYPE_CHECKING:
    from compresslab.engine.session import Session
    from compresslab.recipes.method import Method

T = TypeVar("T")
MEASURING, SEQUENTIAL = 1.5, 3.0  # what statistics cost for every token, in tokens that go through the model once
SCORES = ("_token_scores", "_question_scores", "_answer_scores")


@dataclass
class Job:
    """One piece of work on its way: whom it tells, and whether it shall stop."""

    report: Report
    cancelled: Callable[[], bool]
    tracker: Tracker
    notices: list[Message] = field(default_factory=list)
    remembered: list[Message] = field(default_factory=list)  # for the record: what was used, by content
    said: list[Message] = field(default_factory=list)  # every notice as often as it came up

    def check(self) -> None:
        """Raises Cancelled when the work shall stop."""
        if self.cancelled():
            raise Cancelled

    def notice(self, said: Message | str, /, **values: Any) -> None:
        """Say something once that the reader must know: a message, or its code and values."""
        new = message(said, **values)
        self.said.append(new)
        if new not in self.notices:
            self.notices.append(new)
            self.report(Notice(text=new))

    def remember(self, said: Message | str, /, **values: Any) -> None:
        """Write something into the record of the run that is not shown live."""
        new = message(said, **values)
        if new not in self.remembered:
            self.remembered.append(new)


@dataclass
class StepContext:
    """What a method works with, beside the model that it changes."""

    job: Job
    session: Session
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
            kept = self.session.input_statistics(self, hessian=hessian).items()
            mine = [(tuple(name for name in group if name in wanted), statistics) for group, statistics in kept]
            found = self.each([(group, statistics) for group, statistics in mine if group])
        for group, statistics in found:
            yield group, statistics.heard_by(self.job.notice, group)

    def solve(self, model: CompressedModel, names: Sequence[str], own: Method, make: Callable[[], None]) -> None:
        """Let `make` change these matrices, and nothing but them, under the settings `own`.

        What it made of the same weights with the same settings and statistics is taken from memory instead.
        """
        with threads_for(sum(model.weights[name].count for name in names)):
            self._solve(model, names, own, make)

    def _solve(self, model: CompressedModel, names: Sequence[str], own: Method, make: Callable[[], None]) -> None:
        if self.recipe.calibration.statistics == "sequential" or model.offloaded:
            make()
            return
        settings = own.model_dump_json(exclude={"ignore", "overrides"})  # they have chosen the matrices already
        key = (self._statistics_id, self.seed, own.name, settings)
        self.session.solutions.solve(model, names, key, self.job, make)

    @cached_property
    def _statistics_id(self) -> str:
        return self.session.statistics_id(self)

    def calibration(self) -> Tensor:
        """int64 [samples, sequence_length] of the recipe's calibration text, in the order of the seed."""
        return self.session.calibration(self.recipe, self.baseline, self.job)

    def loss(self, step: int, total: int, value: float) -> None:
        """Keep one point of the training curve and tell it."""
        self.losses.append(LossPoint(step=step, loss=value))
        self.job.report(Loss(step=step, total=total, loss=value))


@dataclass
class MeasureContext:
    """What a metric works with: both models, their paired scores, the job."""

    job: Job
    session: Session
    recipe: Recipe
    baseline: CompressedModel
    compressed: CompressedModel
    stage: Stage
    written: Path | None = None  # the packed file of a final run

    def check(self) -> None:
        self.job.check()

    def token_scores(self) -> Iterable[TokenScores]:
        """Growing likelihoods of text or examples. Every metric may read them; they are computed once."""
        return self._token_scores

    def question_scores(self) -> Iterable[QuestionScores]:
        """Growing answers to questions or examples. Every metric may read them; they are computed once."""
        return self._question_scores

    def answer_scores(self) -> Iterable[QuestionScores]:
        """Growing scores of what an encoder-decoder answers to the inputs of its pairs."""
        return self._answer_scores

    @property
    def tokens_seen(self) -> int:
        """Tokens of the evaluation text that both models have read so far."""
        scores = self.__dict__.get("_token_scores")
        return int(scores.latest.tokens.sum()) if scores is not None and scores.latest is not None else 0

    @property
    def done(self) -> float:
        """Share of text and questions that is scored, of those that some metric asked for."""
        asked = [self.__dict__[name] for name in SCORES if name in self.__dict__]
        return sum(scores.done for scores in asked) / max(1, len(asked))

    @cached_property
    def class_scores(self) -> Shared[ClassScores]:
        """Growing scores of a classifier, of which both likelihoods and answers are parts."""
        return class_source(self)

    @cached_property
    def _token_scores(self) -> Shared[TokenScores]:
        return token_source(self)

    @cached_property
    def _question_scores(self) -> Shared[QuestionScores]:
        return question_source(self)

    @cached_property
    def _answer_scores(self) -> Shared[QuestionScores]:
        return answer_source(self)
