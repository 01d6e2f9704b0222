"""Greedy answers of encoder-decoders, held against the targets of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from compresslab.engine.measuring.examples import Bench, Encoded, batch_inputs
from compresslab.engine.measuring.scores import Array, QuestionScores
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import padding, start_of_answer
from torch import Tensor
from transformers import GenerationConfig

ROOM = 8  # tokens that an answer may be longer than the longest target of its batch
TARGET, BASELINE, OTHER = 0, 1, 2  # what an answer is equal to


def score_answers(bench: Bench) -> Iterator[QuestionScores]:
    """Whether the answers to all inputs so far are the targets; two different wrong ones count as different picks."""
    picks: list[Array] = []
    done = 0
    for batch in bench.batches(max(len(example.answer) for example in bench.examples) + ROOM):
        before, after = bench.both(done, len(batch), partial(greedy, examples=batch))
        done += len(batch)
        ends = bench.baseline.facts.generation.ends
        picks.append(_picks(bench.baseline.tokenizer, ends, before, after, [example.answer for example in batch]))
        chosen = np.concatenate(picks, axis=1)
        answers = np.full(done, TARGET)
        yield QuestionScores(bench.dataset, answers, chosen[0], chosen[1], ("",) * done, unit="examples")


def greedy(model: CompressedModel, examples: Sequence[Encoded]) -> Tensor:
    """int64 [B, longest answer]: the likeliest token, one after the other, the start token left away."""
    longest = max(len(example.answer) for example in examples) + ROOM
    generate: Any = model.module.generate
    with torch.inference_mode():
        found = generate(**batch_inputs(model, examples), generation_config=_plain(model, longest))
    answers: Tensor = found[:, 1:].cpu()
    return answers


def _plain(model: CompressedModel, most_tokens: int) -> GenerationConfig:
    """One beam, no sampling, nothing forbidden, whatever the checkpoint's own habits are; its ends are its own."""
    edges = model.facts.generation.edges() | {"decoder_start_token_id": start_of_answer(model)}
    padded = {} if edges["pad_token_id"] is not None else {"pad_token_id": padding(model)}
    return GenerationConfig(
        max_new_tokens=min(most_tokens, model.context_length - 1), num_beams=1, do_sample=False, **edges | padded
    )


def _picks(
    tokenizer: Any, ends: Sequence[int], before: Tensor, after: Tensor, targets: Sequence[tuple[int, ...]]
) -> Array:
    """int64 [2, B]: what the answers of baseline and compressed model are equal to, as texts."""
    answers = ([_until_end(row, ends) for row in rows.tolist()] for rows in (before, after))
    said, now, wanted = (_texts(tokenizer, rows) for rows in (*answers, targets))
    first = [TARGET if text == target else BASELINE for text, target in zip(said, wanted, strict=True)]
    second = [
        TARGET if text == target else BASELINE if text == old else OTHER
        for text, old, target in zip(now, said, wanted, strict=True)
    ]
    return np.array([first, second])


def _until_end(row: list[int], ends: Sequence[int]) -> list[int]:
    """Without what fills it up behind its end: any token may serve for that."""
    return row[: next((place + 1 for place, token in enumerate(row) if token in ends), len(row))]


def _texts(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    return [str(tokenizer.decode(row, skip_special_tokens=True)).strip() for row in rows]
