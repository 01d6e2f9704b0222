"""Texts as tokens: windows to score, sequences to learn from, prompts to continue."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from compresslab.data.hub_text import PREFIX
from compresslab.data.texts import SEPARATOR
from compresslab.errors import BadInput
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
    encoded = tokenizer(documents, add_special_tokens=False, verbose=False).input_ids
    start = start_token(tokenizer)
    return [token for ids in encoded for token in (*start, *ids)]


def start_token(tokenizer: Any) -> list[int]:
    """What stands before a document: the beginning-of-text token, else the end-of-text token, else nothing."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return [token]
    return []


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
