"""Text cut into tokens as llama.cpp does it, by what a GGUF file says: written from its description, not from ours.

Special tokens are found first, the longest before the others; what lies between is merged. Byte-level BPE splits by a
pattern that is known by name and follows a list of merges; the SentencePiece-like kind joins, again and again, the two
neighbours that make the token of the best score, the first where scores are alike.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from compresslab.exports.gguf_tokenizer import SPECIAL, Vocabulary
from compresslab.models.gguf.words import BYTES, PATTERNS, PHI3_KEEPS, SPACE, WHOLE_WORDS
from tokenizers import Regex, Tokenizer, models, pre_tokenizers


class Cutter:
    """Called with a text, gives its token ids, those around it included."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._known = vocabulary
        self._numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
        kinds = zip(vocabulary.tokens, vocabulary.kinds, strict=True)
        self._special = sorted((token for token, kind in kinds if kind in SPECIAL), key=len, reverse=True)
        self._merged = self._joined if vocabulary.model == "llama" else _byte_level(vocabulary)

    def __call__(self, text: str) -> list[int]:
        found = [self._known.ids["bos"]] if self._known.begins else []
        after_special = True
        for part, number in self._parts(text):
            if number is not None:
                found.append(number)
            elif part:
                space = " " if self._known.space_first and after_special else ""
                found += self._merged(space + part)
            after_special = number is not None
        return [*found, self._known.ids["eos"]] if self._known.ends else found

    def _parts(self, text: str) -> list[tuple[str, int | None]]:
        """Pieces of text, and special tokens with their ids."""
        parts: list[tuple[str, int | None]] = [(text, None)]
        for token in self._special:
            parts = [piece for part in parts for piece in self._parted(*part, token)]
        return parts

    def _parted(self, part: str, number: int | None, token: str) -> Iterator[tuple[str, int | None]]:
        if number is not None or token not in part:
            yield part, number
            return
        first, *others = part.split(token)
        if first:
            yield first, None
        for piece in others:
            yield token, self._numbers[token]
            rest = piece.lstrip() if self._known.strips and token not in PHI3_KEEPS else piece
            if rest:
                yield rest, None

    def _joined(self, text: str) -> list[int]:
        """SentencePiece-like: ids of a text whose neighbours are joined by score."""
        pieces: list[str] = list(text.replace(" ", SPACE))
        after, before = list(range(1, len(pieces) + 1)), list(range(-1, len(pieces) - 1))
        waiting: list[tuple[float, int, str, int]] = []

        def offer(left: int) -> None:
            right = after[left] if left >= 0 else len(pieces)
            if left >= 0 and right < len(pieces):
                number = self._numbers.get(pieces[left] + pieces[right])
                if number is not None:
                    whole = pieces[left] + pieces[right]
                    heapq.heappush(waiting, (-self._known.scores[number], left, whole, right))

        for left in range(len(pieces) - 1):
            offer(left)
        while waiting:
            _, left, whole, right = heapq.heappop(waiting)
            if after[left] != right or pieces[left] + pieces[right] != whole or not pieces[left]:
                continue  # one of them is part of something else by now
            pieces[left], pieces[right] = whole, ""
            after[left] = after[right]
            if after[right] < len(pieces):
                before[after[right]] = left
            offer(before[left])
            offer(left)
        return [number for piece in pieces if piece for number in self._of_piece(piece)]

    def _of_piece(self, piece: str) -> list[int]:
        number = self._numbers.get(piece)
        return [self._numbers[BYTES[byte]] for byte in piece.encode()] if number is None else [number]


def _byte_level(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    """Ids of a text by its merges, after the split that is known by the file's name for it."""
    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    merges = [(first, second) for first, second in (merge.split(" ") for merge in vocabulary.merges)]
    raw = Tokenizer(models.BPE(numbers, merges, ignore_merges=vocabulary.split == WHOLE_WORDS))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in PATTERNS[vocabulary.split]]
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return lambda text: list(raw.encode(text, add_special_tokens=False).ids)
