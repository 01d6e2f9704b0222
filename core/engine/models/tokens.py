"""Texts as tokens: windows to score, sequences to learn from, prompts to continue."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from compresslab.data.hub_text import PREFIX
from compresslab.data.texts import SEPARATOR
from compresslab.engine.models.model import CompressedModel
from compresslab.errors import BadInput, CompresslabError, first_line
from compresslab.messages import Message, plain
from torch import Tensor


def tokenize(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a whole text.

    A collection of documents, parted by the separator, is joined with the tokenizer's own token for the start of a
    document before each; a text without separators is tokenised as the tokenizer does by default.
    """
    if SEPARATOR not in text:
        return list(tokenizer(text, verbose=False).input_ids)
    documents = [document for document in text.split(SEPARATOR) if document.strip()]
    if not documents:
        return []
    encoded = tokenizer(documents, add_special_tokens=False, verbose=False).input_ids
    start = start_token(tokenizer)
    return [token for ids in encoded for token in (*start, *ids)]


def prompt_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Texts that go on: with the special tokens that the tokenizer puts before a text, without those that it appends.

    Some tokenizers end every text with a token that says so, after which nothing of it is left to continue.
    """
    encoded: list[list[int]] = tokenizer(texts, verbose=False).input_ids
    if _appends(tokenizer):
        bare = tokenizer(texts, add_special_tokens=False, verbose=False).input_ids
        encoded = [ids[: len(ids) - _after(ids, plain)] for ids, plain in zip(encoded, bare, strict=True)]
    return [list(ids) for ids in encoded]


@lru_cache(maxsize=8)
def _appends(tokenizer: Any) -> bool:
    with_special, plain = (tokenizer("a", add_special_tokens=s, verbose=False).input_ids for s in (True, False))
    return _after(with_special, plain) > 0


def _after(ids: list[int], plain: list[int]) -> int:
    """How many tokens follow the last place at which `plain` stands in `ids`; none where it does not."""
    ends = range(len(ids), len(plain) - 1, -1)
    return next((len(ids) - end for end in ends if ids[end - len(plain) : end] == plain), 0)


def start_token(tokenizer: Any) -> list[int]:
    """What stands before a document: the beginning-of-text token, else the end-of-text token, else nothing."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return [token]
    return []


@contextmanager
def reading(model: CompressedModel) -> Iterator[None]:
    """While texts become tokens. Raises BadInput where the tokenizer's own code fails: its parts are a stranger's.

    tokenizers raises plain Exception, and its native code panics that are none.
    """
    try:
        yield
    except (CompresslabError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001
        raise BadInput("tokenizer.fails", name=model.facts.name, reason=first_line(error)) from None


def check_known(ids: Iterable[int], model: CompressedModel) -> None:
    """Raises BadInput for a token that the tokenizer has, and the embedding has no row for."""
    name = model.facts.name
    rows = model.weights[f"{model.facts.anatomy.embedding}.weight"].shape[0]
    beyond = next((token for token in ids if token >= rows), None)
    if beyond is not None:
        token = model.tokenizer.convert_ids_to_tokens(beyond)
        raise BadInput("tokens.beyond", name=name, token=str(token), number=beyond, rows=rows)


def windows(ids: Tensor, length: int, most_tokens: int, name: str) -> Tensor:
    """Non-overlapping windows [N, length] from the start, the tail dropped. Raises BadInput for too short a text."""
    count = min(len(ids), most_tokens) // length or min(1, len(ids) // length)
    if count == 0:
        raise BadInput("text.too_short", name=label(name), tokens=len(ids), needed=length)
    return ids[: count * length].view(count, length)


def calibration_sequences(ids: Tensor, length: int, samples: int, seed: int, name: str) -> Tensor:
    """Non-overlapping sequences [samples or fewer, length] in an order given by the seed. Raises BadInput."""
    sequences = windows(ids, length, len(ids), name)
    order = torch.randperm(len(sequences), generator=torch.Generator().manual_seed(seed))
    return sequences[order[:samples]]


def fingerprint(sequences: Tensor) -> str:
    """Twelve hex digits over token ids and shape."""
    return hashlib.sha256(repr(tuple(sequences.shape)).encode() + sequences.numpy().tobytes()).hexdigest()[:12]


def label(name: str) -> Message:
    """How a text is called in results: never a whole path."""
    if name == "bundled":
        return Message("text.bundled")
    return plain(name if name.startswith(PREFIX) else Path(name).name)
