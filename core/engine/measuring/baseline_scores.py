"""What baselines said of texts: in memory, and on disk behind it, so that the next run reads with one model only.

Of a text the hidden states after the last block are kept, [B, S, H], not the log-probabilities, [B, S, V]: with 49,152
words these are 85 times as large. What they stand for is computed from them anew, to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from compresslab.engine.lru import Budget, LruCache, get_or_make
from compresslab.engine.models.device import device_name
from compresslab.engine.models.model import CompressedModel
from compresslab.files.atomic import new_file
from compresslab.messages import Message
from compresslab.profiles import statistics_files as files
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 1  # of what is written, and how it is made; part of the fingerprint
SHARE = 0.25  # of the budget, that log-probabilities of one text may take
SAID = "said"
Span = tuple[int, int]  # first window, question or example of a batch, and the one after its last


@dataclass(frozen=True)
class Subject:
    """A baseline, and what it has read."""

    purpose: str
    weights: str  # hash
    device: str
    dtype: torch.dtype
    read: str  # fingerprint of the text, questions or examples
    count: int  # of windows, questions or examples
    length: int  # tokens, of a window or at the most
    model: str = field(compare=False)  # this and the text: for whoever looks at what is kept
    text: Message = field(compare=False)

    @classmethod
    def of(cls, model: CompressedModel, purpose: str, read: str, text: Message, count: int, length: int) -> Subject:
        weights, device, dtype = model.weights_hash(), str(model.device), model.dtype
        return cls(purpose, weights, device, dtype, read, count, length, model.facts.name, text)

    @property
    def id(self) -> str:
        """Sixteen hex digits over everything that the last bit of a number depends on, of the machine too."""
        machine = (device_name(torch.device(self.device)), torch.get_num_threads(), torch.__version__, FORMAT)
        plain = repr((self.purpose, self.weights, self.device, str(self.dtype), self.read, self.length, machine))
        return hashlib.sha256(plain.encode()).hexdigest()[:16]


class BaselineScores:
    """Within the budget of a process, and that of what is kept on disk."""

    def __init__(self, budget: Budget) -> None:
        self._memory: LruCache[Tensor] = budget.cache()
        self._most = SHARE * budget.most_bytes

    def get(self, subject: Subject, span: Span, make: Callable[[], Tensor]) -> Tensor:
        """From memory, from disk, or made and kept in both."""
        return get_or_make(self._memory, (subject, span), lambda: _read_or(subject, span, make))

    def at_hand(self, subject: Subject, span: Span, make: Callable[[], Tensor], all_bytes: int) -> Tensor:
        """What is too large for the disk: kept in memory where there is room for all of its kind."""
        if all_bytes > self._most:
            return make()
        return get_or_make(self._memory, (subject, span, SAID), make)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._memory.clear()


def _read_or(subject: Subject, span: Span, make: Callable[[], Tensor]) -> Tensor:
    file = files.folder() / subject.id / f"{span[0]:06d}-{span[1]:06d}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        found = load_file(file)[SAID].to(subject.device)
        files.touch(subject.id)
        return found
    made = make()
    with suppress(OSError, SafetensorError):  # lost where the disk is full or is cleared: it can be made again
        if files.make_room(made.nbytes, keep=subject.id):
            files.begin(subject.id, _about(subject))
            with new_file(file) as part:
                save_file({SAID: made.cpu().contiguous()}, part)
    return made


def _about(subject: Subject) -> dict[str, object]:
    return {
        "model": subject.model,
        "text": subject.text.to_json(),
        "samples": subject.count,
        "sequence_length": subject.length,
        "kind": files.BASELINE,
    }
