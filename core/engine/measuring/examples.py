"""Scores on examples with answers: classes of texts, targets of inputs. Paired and cached as those of texts are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from compresslab.data.labelled import Labelled, Pair
from compresslab.engine.measuring.baseline_scores import BaselineScores, Subject
from compresslab.engine.measuring.scores import Array, QuestionScores, TokenScores, compare, most_tokens
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import NOT_COUNTED, padding, shifted
from compresslab.messages import Message
from torch import Tensor

EXAMPLES = 16  # scored together at the most
MOST_KINDS = 12  # classes that accuracy is told apart for


@dataclass(frozen=True)
class Encoded:
    """An input as tokens, and its answer: the number of a class, or the tokens of a target."""

    ids: tuple[int, ...]
    types: tuple[int, ...]  # first or second text of a pair
    answer: tuple[int, ...]
    cut: bool = False  # it was longer than the context and lost its end


@dataclass(frozen=True)
class ClassScores:
    """How both models see the classes, and which ones they name."""

    likelihoods: TokenScores
    picks: QuestionScores


@dataclass(frozen=True)
class Bench:
    """Both models, the examples of a run, and what keeps what the baseline said of them."""

    baseline: CompressedModel
    compressed: CompressedModel
    examples: Sequence[Encoded]
    dataset: Message
    kept: BaselineScores
    subject: Subject  # the baseline and the examples
    check: Callable[[], None]

    def batches(self, longest_answer: int = 0) -> Iterator[list[Encoded]]:
        """In the order of the file. `longest_answer` tokens need logits of the whole vocabulary each."""
        longest = max(1, *(len(example.ids) for example in self.examples))
        size = max(1, min(EXAMPLES, most_tokens(self.baseline, logits=False) // longest))
        if longest_answer:
            size = max(1, min(size, most_tokens(self.baseline) // longest_answer))
        for start in range(0, len(self.examples), size):
            self.check()
            yield list(self.examples[start : start + size])

    def both(
        self, start: int, size: int, say: Callable[[CompressedModel], Tensor], all_bytes: int = 0
    ) -> tuple[Tensor, Tensor]:
        """What both models say of a batch; `all_bytes` of all examples, where that is much."""
        span, said = (start, start + size), partial(say, self.baseline)
        kept, subject = self.kept, self.subject
        before = kept.at_hand(subject, span, said, all_bytes) if all_bytes else kept.get(subject, span, said)
        self.check()
        return before, before if self.compressed is self.baseline else say(self.compressed)


# -- tokens -------------------------------------------------------------------------------


def encode_labelled(tokenizer: Any, example: Labelled, context_length: int) -> Encoded:
    ids, types, cut = _encoded(tokenizer, (example.text, example.text_pair), context_length)
    return Encoded(ids, types, (example.label,), cut)


def encode_pair(tokenizer: Any, pair: Pair, context_length: int) -> Encoded:
    ids, types, cut = _encoded(tokenizer, (pair.input, None), context_length)
    target = tokenizer(text_target=pair.target, truncation=True, max_length=context_length, verbose=False).input_ids
    return Encoded(ids, types, tuple(target), cut)


def _encoded(tokenizer: Any, texts: tuple[str, str | None], most: int) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Token ids with the tokenizer's own special tokens, what text each is of, and whether something was cut off."""
    encoded = tokenizer(*texts, return_token_type_ids=True, verbose=False)
    cut = len(encoded.input_ids) > most
    if cut:
        encoded = tokenizer(*texts, return_token_type_ids=True, truncation=True, max_length=most, verbose=False)
    return tuple(encoded.input_ids), tuple(encoded.token_type_ids), cut


def batch_inputs(model: CompressedModel, examples: Sequence[Encoded]) -> dict[str, Tensor]:
    """[B, longest], filled up on the right and masked there."""
    inputs = {
        "input_ids": _filled([e.ids for e in examples], padding(model), model),
        "attention_mask": _filled([(1,) * len(e.ids) for e in examples], 0, model),
    }
    if getattr(model.module.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = _filled([e.types for e in examples], 0, model)
    return inputs


def _filled(rows: Sequence[tuple[int, ...]], value: int, model: CompressedModel) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + (value,) * (longest - len(row)) for row in rows], device=model.device)


# -- classes ------------------------------------------------------------------------------


def score_classes(bench: Bench) -> Iterator[ClassScores]:
    """Scores of all examples so far, one batch further each time."""
    rows: list[Array] = []
    picks: list[Array] = []
    names = bench.baseline.facts.labels
    done = 0
    for batch in bench.batches():
        before, after = bench.both(done, len(batch), partial(class_log_probabilities, examples=batch))
        answers = torch.tensor([example.answer for example in batch], device=before.device)
        rows.append(compare(before.unsqueeze(1), after.unsqueeze(1), answers))
        picks.append(torch.stack([before.argmax(1), after.argmax(1)]).cpu().numpy())
        done += len(batch)
        nll, nll_compressed, divergence, same = np.concatenate(rows, axis=1)
        labels = [example.answer[0] for example in bench.examples[:done]]
        kinds = tuple(names[label] if len(names) <= MOST_KINDS else "" for label in labels)
        ones = np.ones(done, dtype=np.int64)
        likelihoods = TokenScores(bench.dataset, ones, nll, nll_compressed, divergence, same, unit="example")
        chosen = np.concatenate(picks, axis=1)
        yield ClassScores(
            likelihoods, QuestionScores(bench.dataset, np.array(labels), chosen[0], chosen[1], kinds, unit="examples")
        )


def class_log_probabilities(model: CompressedModel, examples: Sequence[Encoded]) -> Tensor:
    """float32 [B, classes]."""
    with torch.inference_mode():
        logits = model.module(**batch_inputs(model, examples)).logits
        return torch.log_softmax(logits.float(), dim=-1)


# -- targets ------------------------------------------------------------------------------


def score_targets(bench: Bench) -> Iterator[TokenScores]:
    """Teacher-forced: every token of a target, given the input and the tokens of the target before it."""
    rows: list[Array] = []
    done = 0
    longest = max(len(example.answer) for example in bench.examples)
    all_bytes = 4 * longest * len(bench.examples) * bench.baseline.facts.vocab_size
    for batch in bench.batches(longest):
        before, after = bench.both(done, len(batch), partial(target_log_probabilities, examples=batch), all_bytes)
        rows.append(compare(before, after, _targets(bench.baseline, batch)))
        done += len(batch)
        tokens = np.array([len(example.answer) for example in bench.examples[:done]])
        nll, nll_compressed, divergence, same = np.concatenate(rows, axis=1)
        yield TokenScores(bench.dataset, tokens, nll, nll_compressed, divergence, same)


def target_log_probabilities(model: CompressedModel, examples: Sequence[Encoded]) -> Tensor:
    """float32 [B, longest target, V]."""
    with torch.inference_mode():
        decoder_ids = shifted(model, _targets(model, examples))
        output = model.module(**batch_inputs(model, examples), decoder_input_ids=decoder_ids, use_cache=False)
        return torch.log_softmax(output.logits.float(), dim=-1)


def _targets(model: CompressedModel, examples: Sequence[Encoded]) -> Tensor:
    return _filled([example.answer for example in examples], NOT_COUNTED, model)
