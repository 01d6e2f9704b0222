"""What a metric works with: both models, their paired scores, the job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from compresslab.engine.job import Job
from compresslab.engine.measuring.answers import score_answers
from compresslab.engine.measuring.baseline_scores import BaselineScores, Subject
from compresslab.engine.measuring.examples import Bench, ClassScores, Encoded, score_classes, score_targets
from compresslab.engine.measuring.scores import (
    EncodedQuestion,
    QuestionScores,
    Shared,
    TokenScores,
    score_questions,
    score_tokens,
)
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import label
from compresslab.engine.runtimes.choosing import Runtimes
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import Stage
from torch import Tensor

SCORES = ("_token_scores", "_question_scores", "_answer_scores")
DRAFT_SHARE = 0.25  # of tokens, questions and examples


class Warm(Protocol):
    """What a process keeps from one measurement to the next: the part of its Session that metrics may ask."""

    @property
    def scores(self) -> BaselineScores: ...

    @property
    def runtimes(self) -> Runtimes: ...

    def evaluation_windows(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[Tensor, Subject]:
        """int64 [windows, context_length] of the evaluation text."""

    def questions(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[list[EncodedQuestion], Subject]:
        """As many as the recipe asks."""

    def examples(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[list[Encoded], Subject]:
        """Of a classifier or encoder-decoder."""

    def written_bytes(self, model: CompressedModel) -> int:
        """Size of the packed file of a model, really written."""


@dataclass
class MeasureContext:
    """What a metric works with: both models, their paired scores, the job."""

    job: Job
    session: Warm
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
        return _class_source(self)

    @cached_property
    def _token_scores(self) -> Shared[TokenScores]:
        return _token_source(self)

    @cached_property
    def _question_scores(self) -> Shared[QuestionScores]:
        return _question_source(self)

    @cached_property
    def _answer_scores(self) -> Shared[QuestionScores]:
        return _answer_source(self)


# -- where scores come from -----------------------------------------------------------------


def _token_source(context: MeasureContext) -> Shared[TokenScores]:
    """Likelihoods: of a text's tokens, of the tokens of targets, or of classes."""
    task = context.baseline.facts.task
    if task == "classification":
        source = (scores.likelihoods for scores in context.class_scores)
        return Shared(source, lambda scores: context.class_scores.done)
    if task == "seq2seq":
        bench = _bench(context)
        return Shared(score_targets(bench), lambda scores: len(scores.tokens) / len(bench.examples))
    return _windows(context)


def _question_source(context: MeasureContext) -> Shared[QuestionScores]:
    """Answers: to questions, or the classes of examples. An encoder-decoder is asked nothing of that kind."""
    task = context.baseline.facts.task
    if task == "classification":
        source = (scores.picks for scores in context.class_scores)
        return Shared(source, lambda scores: context.class_scores.done)
    if task == "seq2seq":
        return Shared(iter(()), lambda scores: 1.0)
    return _questions(context)


def _class_source(context: MeasureContext) -> Shared[ClassScores]:
    bench = _bench(context)
    return Shared(score_classes(bench), lambda scores: len(scores.picks.answers) / len(bench.examples))


def _answer_source(context: MeasureContext) -> Shared[QuestionScores]:
    """Greedy answers to the inputs of pairs."""
    bench = _bench(context, "answers")
    return Shared(score_answers(bench), lambda scores: len(scores.answers) / len(bench.examples))


def _bench(context: MeasureContext, purpose: str = "examples") -> Bench:
    examples, subject = context.session.examples(context.recipe, context.baseline, context.job)
    return Bench(
        baseline=context.baseline,
        compressed=context.compressed,
        examples=examples[: _share_of(len(examples), context)],
        dataset=Message(
            "text.with_context",
            text=label(context.recipe.evaluation.questions),
            context=context.baseline.context_length,
        ),
        kept=context.session.scores,
        subject=replace(subject, purpose=purpose),
        check=context.check,
    )


def _windows(context: MeasureContext) -> Shared[TokenScores]:
    windows, subject = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    dataset = Message("text.with_context", text=label(context.recipe.evaluation.text), context=windows.shape[1])
    most = _share_of(len(windows), context)
    models = context.baseline, context.compressed
    source = score_tokens(*models, windows, most, dataset, context.session.scores, subject, context.check)
    return Shared(source, lambda scores: len(scores.tokens) / most)


def _questions(context: MeasureContext) -> Shared[QuestionScores]:
    questions, subject = context.session.questions(context.recipe, context.baseline, context.job)
    if not questions:
        raise BadInput("questions.empty_file")
    most = _share_of(len(questions), context)
    models = context.baseline, context.compressed
    source = score_questions(*models, questions, most, subject.text, context.session.scores, subject, context.check)
    return Shared(source, lambda scores: len(scores.answers) / most)


def _share_of(count: int, context: MeasureContext) -> int:
    return max(1, round(count * DRAFT_SHARE)) if context.stage == "draft" else count
