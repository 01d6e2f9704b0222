"""The header of a GGUF file: what it says and what tensors it holds, read without them and held against its size.

Magic, version, two counts, then every key with its kind and value, then every tensor's name, shape, type and place,
then the tensors, each on a multiple of the alignment (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
A stranger wrote it: nothing is read, and no list is made, that the file has no bytes for.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput, reason

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # by kind
STRING, ARRAY = 8, 9
MOST_KEYS, MOST_TENSORS, MOST_TEXTS = 2**14, 2**17, 2**21
LONGEST_KEY, LONGEST_NAME, MOST_DIMENSIONS = 1024, 128, 4
LARGEST_ALIGNMENT, LARGEST = 2**16, 2**28  # bytes; LARGEST is all that stands before the tensors
ALIGNMENT = "general.alignment"
LENGTH = struct.Struct("<Q")
BLOCKS = {  # weights of a block and its bytes, by the number and name of the type
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 28: ("F64", 1, 8),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
}  # fmt: skip
READABLE = tuple(name for name, _, _ in BLOCKS.values() if name != "F64")


@dataclass(frozen=True)
class Tensor:
    """One tensor: its rows last in `shape`'s order of numpy, and bytes `begin` to `end` of the file."""

    kind: str  # the type's name: F16, Q4_K
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    values: dict[str, Any]  # numbers, strings, and lists of them
    tensors: dict[str, Tensor]


def is_gguf(file: Path) -> bool:
    """Whether a file says of itself that it is one; False for what can't be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_header(file: Path) -> Header:
    """Raises BadInput for what is no GGUF file, is damaged, is not whole, or holds a type that can't be read."""
    try:
        whole = file.resolve()
        status = whole.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise BadInput("text.unreadable", path=file, reason=why) from None
    return _header(whole, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _header(file: Path, size: int, _changed: int) -> Header:
    if size < 24 or not is_gguf(file):
        raise BadInput("gguf_in.not_gguf", file=file)
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Reader(content, file).header()
    except (OSError, ValueError) as error:
        raise BadInput("gguf_in.damaged", file=file, place=str(error)) from None


class _Reader:
    """Goes through a file from its start. Raises BadInput where it says what can't be."""

    def __init__(self, content: mmap.mmap, file: Path) -> None:
        self._content, self._file, self._at = content, file, len(MAGIC)

    def header(self) -> Header:
        version = self._number("I")
        if version not in VERSIONS:
            raise BadInput("gguf_in.version", file=self._file, version=version, known=list(map(str, VERSIONS)))
        tensors, keys = self._number("Q"), self._number("Q")
        if tensors > MOST_TENSORS or keys > MOST_KEYS:
            raise self._damaged("counts")
        values: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(LONGEST_KEY, "a key")
            values[key] = self._value(self._number("I"), key)
        told = [self._tensor() for _ in range(tensors)]
        return Header(values, self._placed(told, values))

    # -- inside -------------------------------------------------------------------------

    def _damaged(self, place: str) -> BadInput:
        return BadInput("gguf_in.damaged", file=self._file, place=place)

    def _take(self, count: int) -> bytes:
        if count > len(self._content) - self._at:
            raise BadInput("gguf_in.cut_off", file=self._file)
        if self._at + count > LARGEST:
            raise self._damaged("counts")
        self._at += count
        return self._content[self._at - count : self._at]

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _text(self, longest: int | None, place: str) -> str:
        length = self._number("Q")
        if longest is not None and length > longest:
            raise self._damaged(place)
        return self._take(length).decode("utf-8", "replace")

    def _value(self, kind: int, key: str) -> Any:
        if kind in NUMBERS:
            return self._number(NUMBERS[kind])
        if kind == STRING:
            return self._text(None, key)
        if kind != ARRAY:
            raise self._damaged(key)
        inner, count = self._number("I"), self._number("Q")
        if inner in NUMBERS:
            size = struct.calcsize(f"<{NUMBERS[inner]}")
            if count > (len(self._content) - self._at) // size:
                raise BadInput("gguf_in.cut_off", file=self._file)
            return list(struct.unpack(f"<{count}{NUMBERS[inner]}", self._take(count * size)))
        if inner != STRING or count > MOST_TEXTS:
            raise self._damaged(key)
        return self._texts(count)

    def _texts(self, count: int) -> list[str]:
        """Tokens and merges are some hundred thousand: without a call for each."""
        content, at, end, found = self._content, self._at, min(len(self._content), LARGEST), []
        for _ in range(count):
            start = at + 8
            at = start + LENGTH.unpack_from(content, at)[0] if start <= end else end + 1
            if at > end:
                raise BadInput("gguf_in.cut_off", file=self._file)
            found.append(content[start:at].decode("utf-8", "replace"))
        self._at = at
        return found

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text(LONGEST_NAME, "a tensor's name")
        dimensions = self._number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self._damaged(name)
        shape = tuple(self._number("Q") for _ in range(dimensions))[::-1]
        return name, shape, self._number("I"), self._number("Q")

    def _placed(self, told: list[tuple[str, tuple[int, ...], int, int]], values: dict[str, Any]) -> dict[str, Tensor]:
        """One after the other, each where the one before it ends, as llama.cpp asks for it."""
        alignment = values.get(ALIGNMENT, 32)
        if type(alignment) is not int or not 0 < alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
            raise self._damaged(ALIGNMENT)
        start = end = -(-self._at // alignment) * alignment
        found: dict[str, Tensor] = {}
        for name, shape, number, offset in told:
            if number not in BLOCKS:
                raise BadInput("gguf_in.type", file=self._file, weight=name, number=number, known=list(READABLE))
            kind, weights, bytes_ = BLOCKS[number]
            if name in found or start + offset != end or shape[-1] % weights:
                raise self._damaged(name)
            size = prod(shape) // weights * bytes_
            found[name] = Tensor(kind, shape, end, end + size)
            if end + size > len(self._content):
                raise BadInput("gguf_in.cut_off", file=self._file)
            end += -(-size // alignment) * alignment
        return found
