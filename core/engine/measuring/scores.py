"""Paired scores: baseline and compressed model read the same tokens in the same batches.

What the baseline says is kept, so that a moved slider costs one pass of the compressed model only.
Batches are cut by shape alone: equal weights give equal numbers to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from compresslab.data.texts import Question
from compresslab.engine.measuring.baseline_scores import BaselineScores, Span, Subject
from compresslab.engine.measuring.reader import Reader
from compresslab.engine.models.architecture import logits_of
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import log_probabilities
from compresslab.engine.models.tokens import prompt_ids, start_token
from compresslab.errors import BadInput, RunFailed
from compresslab.messages import Message
from torch import Tensor

T = TypeVar("T")
Array = np.ndarray[Any, np.dtype[Any]]
FIRST_WINDOWS, MOST_WINDOWS = 4, 16  # small at first: a first answer soon
QUESTIONS = 16  # scored together at the most
LOGITS_BYTES = 64 * 2**20  # of one batch, float32
CPU_FLOPS = 10**11  # of one batch
BATCH_FLOPS = {"cuda": 10**14, "mps": 10**12}


@dataclass(frozen=True)
class TokenScores:
    """Sums over the scored tokens of each window: arrays of shape [windows]."""

    dataset: Message
    tokens: Array
    baseline_nll: Array
    compressed_nll: Array
    divergence: Array  # KL(baseline || compressed), nats
    same_top: Array
    unit: str = "token"


@dataclass(frozen=True)
class QuestionScores:
    """What both models answer: arrays of shape [questions]."""

    dataset: Message
    answers: Array
    baseline_picks: Array
    compressed_picks: Array
    kinds: tuple[str, ...]
    unit: str = "questions"


class Shared(Generic[T]):
    """A generator that several readers go through, each at its own pace; every item is computed once."""

    def __init__(self, source: Iterator[T], done: Callable[[T], float]) -> None:
        self._source, self._items, self._done = source, list[T](), done

    @property
    def latest(self) -> T | None:
        return self._items[-1] if self._items else None

    @property
    def done(self) -> float:
        """Share of the whole that is computed."""
        return min(1.0, self._done(self._items[-1])) if self._items else 0.0

    def __iter__(self) -> Iterator[T]:
        place = 0
        while True:
            if place == len(self._items):
                try:
                    self._items.append(next(self._source))
                except StopIteration:
                    return
            yield self._items[place]
            place += 1


# -- text ---------------------------------------------------------------------------------


def score_tokens(
    baseline: CompressedModel,
    compressed: CompressedModel,
    windows: Tensor,
    most_windows: int,
    dataset: Message,
    kept: BaselineScores,
    subject: Subject,
    check: Callable[[], None],
) -> Iterator[TokenScores]:
    """Scores of all windows so far, one batch further each time. `subject` is the baseline and its text."""
    rows: list[Array] = []
    spans = list(_batches(baseline, windows, most_windows))
    baseline_says, compressed_says = (
        Reader(model, windows, spans, check, log_probabilities) for model in (baseline, compressed)
    )
    all_bytes = 4 * spans[-1][1] * windows.shape[1] * baseline.facts.vocab_size

    def expected(span: Span) -> Tensor:
        return baseline_says.expected(span, kept.get(subject, span, partial(baseline_says.states, span)))

    for span in spans:
        check()
        before = kept.at_hand(subject, span, partial(expected, span), all_bytes)
        check()
        after = before if compressed is baseline else compressed_says(span)
        rows.append(compare(before, after, windows[slice(*span), 1:].to(baseline.device)))
        nll, nll_compressed, divergence, same = np.concatenate(rows, axis=1)
        tokens = np.full(len(nll), windows.shape[1] - 1)
        yield TokenScores(dataset, tokens, nll, nll_compressed, divergence, same)


def _batches(model: CompressedModel, windows: Tensor, most_windows: int) -> Iterator[Span]:
    fits = max(1, most_tokens(model) // windows.shape[1])
    start, size = 0, min(FIRST_WINDOWS, fits)
    while start < min(most_windows, len(windows)):
        stop = min(start + size, len(windows))
        yield start, stop
        start, size = stop, min(MOST_WINDOWS - stop % MOST_WINDOWS, fits)


def most_tokens(model: CompressedModel, *, logits: bool = True) -> int:
    """Tokens of a batch: as many as memory allows, and few enough that a stop is seen within a second or so."""
    quick = BATCH_FLOPS.get(model.device.type, CPU_FLOPS) // (2 * max(1, model.facts.parameters))
    return min(LOGITS_BYTES // (4 * model.facts.vocab_size), quick) if logits else quick


def compare(before: Tensor, after: Tensor, targets: Tensor) -> Array:
    """float64 [4, B]: per row the two negative log-likelihoods, the divergence, the number of equal top tokens.

    Log-probabilities are [B, S, V]; places with a target [B, S] below zero do not count.
    """
    with torch.inference_mode():
        counted = targets >= 0
        places = targets.clamp(min=0).unsqueeze(2)
        nll = -before.gather(2, places).squeeze(2)
        nll_compressed = -after.gather(2, places).squeeze(2)
        divergence = (before.exp() * (before - after)).sum(2)
        same = before.argmax(2) == after.argmax(2)
        scores = torch.stack([nll, nll_compressed, divergence, same.float()]).where(counted, 0.0)
        sums = scores.cpu().double().sum(2)
    if not bool(sums.isfinite().all()):
        raise RunFailed("run.not_finite")
    return sums.numpy()


# -- questions ----------------------------------------------------------------------------


@dataclass(frozen=True)
class EncodedQuestion:
    """Choices as tokens after what all of them share of the prompt."""

    prompt: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    answer: int
    kind: str
    cut: bool = False  # the prompt was longer than the context and lost its beginning


def encode_question(tokenizer: Any, question: Question, context_length: int) -> EncodedQuestion:
    """Prompt and choice are tokenised together: where a choice changes the prompt's last token, it is scored too."""
    before, *whole = prompt_ids(tokenizer, [question.prompt, *(question.prompt + c for c in question.choices)])
    shared = _common(before, *whole)
    shared = min(shared, *(len(ids) - 1 for ids in whole))
    prompt, choices = whole[0][:shared], [tuple(ids[shared:]) for ids in whole]
    if not prompt:
        prompt = start_token(tokenizer)
    longest = max(len(choice) for choice in choices)
    if longest > context_length:
        raise BadInput("questions.choice_too_long", prompt=question.prompt, tokens=longest, most=context_length)
    room = max(1, context_length - longest)
    return EncodedQuestion(tuple(prompt[-room:]), tuple(choices), question.answer, question.kind, len(prompt) > room)


def score_questions(
    baseline: CompressedModel,
    compressed: CompressedModel,
    questions: list[EncodedQuestion],
    most_questions: int,
    dataset: Message,
    kept: BaselineScores,
    subject: Subject,
    check: Callable[[], None],
) -> Iterator[QuestionScores]:
    """Answers to all questions so far, one batch further each time."""
    picks: list[Array] = []
    size = min(QUESTIONS, max(1, most_tokens(baseline) // max((len(q.prompt) for q in questions), default=1)))
    for start in range(0, min(most_questions, len(questions)), size):
        check()
        batch = questions[start : start + size]
        before = kept.get(subject, (start, start + len(batch)), partial(choose, baseline, batch))
        check()
        after = before if compressed is baseline else choose(compressed, batch)
        picks.append(torch.stack([before, after]).numpy())
        done = np.concatenate(picks, axis=1)
        asked = questions[: done.shape[1]]
        answers = np.array([question.answer for question in asked])
        yield QuestionScores(dataset, answers, done[0], done[1], tuple(question.kind for question in asked))


def choose(model: CompressedModel, questions: list[EncodedQuestion]) -> Tensor:
    """int64 [questions]: the choice whose tokens have the highest summed log-likelihood after the prompt."""
    return torch.tensor([int(torch.tensor(scores).argmax()) for scores in choice_scores(model, questions)])


def choice_scores(model: CompressedModel, questions: list[EncodedQuestion]) -> list[list[float]]:
    """Summed log-likelihood of every choice of every question."""
    rows, places = _rows(questions)
    hidden = _hidden(model, rows)
    wanted = [(row, place, token) for spots in places for spot in spots for row, place, token in spot]
    row, place, token = (torch.tensor(column, device=model.device) for column in zip(*wanted, strict=True))
    with torch.inference_mode():
        logits = logits_of(model.module, hidden[row, place])
        found = iter(torch.log_softmax(logits, dim=-1).gather(1, token.unsqueeze(1)).squeeze(1).tolist())
    return [[sum(next(found) for _ in spot) for spot in spots] for spots in places]


Spot = list[tuple[int, int, int]]  # (row, place, token): the token is predicted at that place of that row


def _rows(questions: list[EncodedQuestion]) -> tuple[list[tuple[int, ...]], list[list[Spot]]]:
    """The sequences to read, and where in them every token of every choice is predicted.

    A choice's last token is never read, so choices of one token all share one sequence: the prompt.
    """
    rows: list[tuple[int, ...]] = []
    places: list[list[Spot]] = []
    for question in questions:
        needed = {question.prompt + choice[:-1] for choice in question.choices}
        kept = [row for row in sorted(needed) if not any(row != o and o[: len(row)] == row for o in needed)]
        first = len(rows)
        rows += kept
        spots = []
        for choice in question.choices:
            read = question.prompt + choice[:-1]
            row = first + next(n for n, other in enumerate(kept) if other[: len(read)] == read)
            start = len(question.prompt) - 1
            spots.append([(row, start + n, token) for n, token in enumerate(choice)])
        places.append(spots)
    return rows, places


def _hidden(model: CompressedModel, rows: list[tuple[int, ...]]) -> Tensor:
    """Last hidden states [rows, longest, H]. Filled up on the right, where causal attention never looks back from."""
    longest = max(len(row) for row in rows)
    padded = torch.tensor([row + (0,) * (longest - len(row)) for row in rows], device=model.device)
    with torch.inference_mode():
        states: Tensor = model.module.base_model(input_ids=padded, use_cache=False).last_hidden_state
        return states


def _common(*sequences: list[int]) -> int:
    """Length of the longest beginning that all share."""
    for place, tokens in enumerate(zip(*sequences, strict=False)):
        if len(set(tokens)) > 1:
            return place
    return min(len(sequence) for sequence in sequences)
