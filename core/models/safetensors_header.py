"""The header of a safetensors file: what tensors it holds, read without the tensors, and held against the file's size.

Eight bytes say how long the header is; then come the JSON that names every tensor, and the tensors without a gap
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput, reason
from compresslab.files.reading import NotJson, parse_json

BITS = {  # of one number
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
MOST_DIMENSIONS = 16
LARGEST = 100 * 2**20  # bytes, the limit of the format
METADATA = "__metadata__"


@dataclass(frozen=True)
class Entry:
    """One tensor: bytes `begin` to `end` after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    tensors: dict[str, Entry]
    metadata: dict[str, str]


def read_header(file: Path) -> Header:
    """Raises BadInput for what is no safetensors file, is damaged, or is not whole."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= LARGEST:
                raise BadInput("model.not_safetensors", file=file)
            text = stream.read(length)
        size = file.stat().st_size
    except OSError as error:
        raise BadInput("text.unreadable", path=file, reason=reason(error)) from None
    if len(text) < length:
        raise BadInput("model.cut_off", file=file)
    header = _header(text, file)
    _check_places(header.tensors, size - 8 - length, file)
    return header


def _header(text: bytes, file: Path) -> Header:
    try:
        plain = parse_json(text)
    except NotJson:
        raise BadInput("model.cut_off", file=file) from None
    metadata = plain.pop(METADATA, None) if isinstance(plain, dict) else 0
    if not isinstance(metadata, dict | None) or not all(isinstance(value, str) for value in (metadata or {}).values()):
        raise BadInput("model.cut_off", file=file)
    return Header({name: _entry(name, about, file) for name, about in plain.items()}, metadata or {})


def _entry(name: str, about: Any, file: Path) -> Entry:
    """Raises BadInput for one whose bytes are not as many as its shape and dtype take."""
    told = about if isinstance(about, dict) else {}
    dtype, shape, offsets = told.get("dtype"), _counts(told.get("shape")), _counts(told.get("data_offsets"))
    if isinstance(dtype, str) and shape is not None and offsets is not None and len(offsets) == 2:
        entry = Entry(dtype, shape, *offsets)
        if dtype not in BITS or prod(shape) * BITS[dtype] == 8 * (entry.end - entry.begin):
            return entry
    raise BadInput("model.tensor_damaged", file=file, tensor=name)


def _counts(values: Any) -> tuple[int, ...] | None:
    """None for what is no short list of whole numbers from 0 on."""
    if not isinstance(values, list) or len(values) > MOST_DIMENSIONS:
        return None
    return tuple(values) if all(type(value) is int and value >= 0 for value in values) else None


def _check_places(tensors: dict[str, Entry], size: int, file: Path) -> None:
    """One after the other, from the header to the end of the file. Raises BadInput."""
    end = 0
    for name, entry in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if entry.begin != end:
            raise BadInput("model.tensor_damaged", file=file, tensor=name)
        end = entry.end
    if end != size:
        raise BadInput("model.cut_off", file=file)
