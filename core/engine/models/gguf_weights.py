"""Weights of a GGUF file as tensors: its blocks dequantized by the gguf package, in transformers' order and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from compresslab.engine.models.model import STORAGE
from compresslab.engine.models.on_disk import usable
from compresslab.errors import BadInput, reason
from compresslab.models.facts import ModelFacts
from compresslab.models.families import FAMILIES
from compresslab.models.gguf.header import Tensor as Place
from compresslab.models.gguf.header import read_header
from compresslab.models.gguf.tensors import Array, by_halves, gguf_name, heads_by_pairs, norm_shift
from torch import Tensor

AT_ONCE = 2**18  # weights: blocks of any size are a whole number of times in it


@dataclass(frozen=True)
class FromGguf:
    """Reads one tensor, [out, in] for a matrix, and keeps nothing of it."""

    file: Path
    place: Place
    heads: int | None  # of which rows lie by pairs in the file
    shift: int  # of a norm
    dtype: torch.dtype
    name: str
    model: str

    def __call__(self) -> Tensor:
        try:
            raw = np.fromfile(self.file, np.uint8, self.place.end - self.place.begin, offset=self.place.begin)
        except OSError as error:
            raise BadInput("text.unreadable", path=self.file, reason=reason(error)) from None
        if raw.size < self.place.end - self.place.begin:
            raise BadInput("gguf_in.cut_off", file=self.file)
        array = _values(raw, self.place)
        array = array if self.heads is None else by_halves(array, self.heads)
        array = array - self.shift if self.shift else array
        values = usable(torch.from_numpy(np.ascontiguousarray(array)), self.name, self.model)
        low, high = values.aminmax()
        if self.dtype == torch.float16 and max(-low, high) > torch.finfo(torch.float16).max:
            raise BadInput("model.not_finite", name=self.model, weight=self.name)
        return values.to(self.dtype)


def readers(facts: ModelFacts, file: Path) -> dict[str, Callable[[], Tensor]]:
    """Of every weight of the model, by name."""
    header, family = read_header(file), FAMILIES[facts.family]
    start = f"{header.values['general.architecture']}."
    sizes = {key.removeprefix(start): value for key, value in header.values.items() if key.startswith(start)}
    sizes.setdefault("attention.head_count_kv", sizes["attention.head_count"])
    found: dict[str, Callable[[], Tensor]] = {}
    for weight in facts.weights:
        key = str(gguf_name(facts.held_as(weight.name), family))
        heads = heads_by_pairs(key, family, sizes)
        shift, dtype = norm_shift(key, family), STORAGE[weight.dtype]
        found[weight.name] = FromGguf(file, header.tensors[key], heads, shift, dtype, weight.name, facts.name)
    return found


def _values(raw: Array, place: Place) -> Array:
    """The bytes of a tensor as float32, whatever they are blocks of."""
    if place.kind == "F64":
        return raw.view(np.float64).astype(np.float32).reshape(place.shape)
    kind = gguf.GGMLQuantizationType[place.kind]
    weights, bytes_ = gguf.GGML_QUANT_SIZES[kind]
    values = np.empty(raw.size // bytes_ * weights, np.float32)
    for first in range(0, values.size, AT_ONCE):
        piece = raw[first // weights * bytes_ : (first + AT_ONCE) // weights * bytes_]
        values[first : first + AT_ONCE] = gguf.quants.dequantize(piece[None], kind)[0]
    return values.reshape(place.shape)
