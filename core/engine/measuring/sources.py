"""Where the scores of a run come from, for each task: growing ones, computed once, read by every metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compresslab.engine.measuring.answers import score_answers
from compresslab.engine.measuring.examples import Bench, ClassScores, score_classes, score_targets
from compresslab.engine.measuring.scores import QuestionScores, Shared, TokenScores, score_questions, score_tokens
from compresslab.engine.models.tokens import label
from compresslab.errors import BadInput
from compresslab.messages import Message

if TYPE_CHECKING:
    from compresslab.engine.context import MeasureContext

DRAFT_SHARE = 0.25  # of tokens, questions and examples


def token_source(context: MeasureContext) -> Shared[TokenScores]:
    """Likelihoods: of a text's tokens, of the tokens of targets, or of classes."""
    task = context.baseline.facts.task
    if task == "classification":
        source = (scores.likelihoods for scores in context.class_scores)
        return Shared(source, lambda scores: context.class_scores.done)
    if task == "seq2seq":
        bench = _bench(context)
        return Shared(score_targets(bench), lambda scores: len(scores.tokens) / len(bench.examples))
    return _windows(context)


def question_source(context: MeasureContext) -> Shared[QuestionScores]:
    """Answers: to questions, or the classes of examples. An encoder-decoder is asked nothing of that kind."""
    task = context.baseline.facts.task
    if task == "classification":
        source = (scores.picks for scores in context.class_scores)
        return Shared(source, lambda scores: context.class_scores.done)
    if task == "seq2seq":
        return Shared(iter(()), lambda scores: 1.0)
    return _questions(context)


def class_source(context: MeasureContext) -> Shared[ClassScores]:
    bench = _bench(context)
    return Shared(score_classes(bench), lambda scores: len(scores.picks.answers) / len(bench.examples))


def answer_source(context: MeasureContext) -> Shared[QuestionScores]:
    """Greedy answers to the inputs of pairs."""
    bench = _bench(context, "answers")
    return Shared(score_answers(bench), lambda scores: len(scores.answers) / len(bench.examples))


def _bench(context: MeasureContext, purpose: str = "examples") -> Bench:
    examples, key = context.session.examples(context.recipe, context.baseline, context.job)
    return Bench(
        baseline=context.baseline,
        compressed=context.compressed,
        examples=examples[: _share_of(len(examples), context)],
        dataset=Message(
            "text.with_context",
            text=label(context.recipe.evaluation.questions),
            context=context.baseline.context_length,
        ),
        cache=context.session.scores,
        key=(purpose, *key),
        check=context.check,
    )


def _windows(context: MeasureContext) -> Shared[TokenScores]:
    windows, key = context.session.evaluation_windows(context.recipe, context.baseline, context.job)
    dataset = Message("text.with_context", text=label(context.recipe.evaluation.text), context=windows.shape[1])
    most = _share_of(len(windows), context)
    models = context.baseline, context.compressed
    source = score_tokens(*models, windows, most, dataset, context.session.scores, key, context.check)
    return Shared(source, lambda scores: len(scores.tokens) / most)


def _questions(context: MeasureContext) -> Shared[QuestionScores]:
    questions, key = context.session.questions(context.recipe, context.baseline, context.job)
    if not questions:
        raise BadInput("questions.empty_file")
    name = context.recipe.evaluation.questions
    dataset = Message("questions.bundled") if name == "bundled" else label(name)
    most = _share_of(len(questions), context)
    models = context.baseline, context.compressed
    source = score_questions(*models, questions, most, dataset, context.session.scores, key, context.check)
    return Shared(source, lambda scores: len(scores.answers) / most)


def _share_of(count: int, context: MeasureContext) -> int:
    return max(1, round(count * DRAFT_SHARE)) if context.stage == "draft" else count
