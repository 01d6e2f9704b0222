"""The file of a compressed model, byte by byte, as `models.packed_layout` lays it out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import chain, repeat

from compresslab.grids.affine import Affine
from compresslab.grids.nf4 import Nf4
from compresslab.models import packed_layout
from compresslab.models.packed_layout import header_and_places, stored_tensors
from compresslab.models.weights import WeightPlan

from scripts.docs.markdown import code, docstring, page, table

ABOUT = f"""
A final run keeps its weights as `{packed_layout.PACKED}` in the folder of the run. It is an ordinary safetensors
file: eight bytes with the length of the header as a little-endian integer, the header as JSON filled up with spaces
to a multiple of eight, then the tensors, ordered by dtype and then by name. Any safetensors reader opens it; what the
codes mean stands in the header's `__metadata__`."""
W = WeightPlan("W", (96, 128), "F16", "linear")
FORMS = {
    "untouched": W,
    "half of it zero": replace(W, nonzero=6144),
    "4 bits, groups of 64, symmetric": replace(W, grid=Affine(4, 64, True)),
    "3 bits, groups of 64, asymmetric": replace(W, grid=Affine(3, 64, False)),
    "NF4, groups of 64": replace(W, grid=Nf4(group_size=64)),
    "4 bits, groups of 64, half of it zero": replace(W, grid=Affine(4, 64, True), nonzero=6144),
}
VALUES = """
The value of a weight is `point(code) · scale`, in float32, and each [grid](grids.md) says which point a code stands
for. On an affine grid, which the header gives as `[bits, group_size, symmetric]`, it is `code − zero_point`; if the
grid is symmetric, the zero point is the middle of the codes, `2^(bits − 1)`, and is not stored. Any other grid stands
in the header by its name and fields.

Codes fill bytes from the lowest bit up: code *i* of *b* bits is bits *b·i* to *b·i + b − 1* of the stream. A mask is
one bit a weight in the same order, row by row, 1 where the weight is kept; codes and values are then those of the
kept weights alone. A mask is written only where that makes the weight smaller."""


def packed_file() -> str:
    rows = [
        (name if first else "", code(tensor.name), tensor.dtype, str(list(tensor.shape)), f"{tensor.bytes:,}")
        for name, weight in FORMS.items()
        for first, tensor in zip(chain([True], repeat(False)), stored_tensors(weight), strict=False)
    ]
    forms = table(("a weight of 96 rows and 128 columns", "tensor", "dtype", "shape", "bytes"), rows)
    return page(
        "Packed file",
        ABOUT,
        f"## Layout\n\n{docstring(packed_layout)}",
        f"## What one weight becomes\n\n{forms}",
        f"## From codes to values\n\n{VALUES.strip()}",
        f"## The header\n\nThe third of these weights, in a file of its own:\n\n```json\n{_header()}\n```",
    )


def _header() -> str:
    header, _ = header_and_places([FORMS["4 bits, groups of 64, symmetric"]])
    text = json.dumps(json.loads(header[8:]), indent=2)
    return re.sub(r"\[[\d,\s]*\]", lambda numbers: json.dumps(json.loads(numbers[0])), text)
