"""How a compressed model is laid out in one safetensors file, to the byte, known before anything runs.

A weight W of shape [rows, columns] is stored as
- `W`                    its values as they were, where nothing was done to it;
- `W.mask` `W.values`    one bit a weight and the kept values, where zeros make that the smaller form;
- `W.codes`              codes on a grid, b bits each, little-endian bits;
- `W.scales` and others  the parameters of the grid as it lists them: float16, or b bits each;
- `W.mask` with codes    codes of the kept weights only.
The estimate and the writer both ask this module, so that the estimate is exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

from compresslab.grids.grid import Part
from compresslab.grids.registry import plain, read
from compresslab.models.safetensors_header import read_header
from compresslab.models.weights import WeightPlan

PACKED = "model.packed.safetensors"  # in the folder of a run
BITS = {"F32": 32, "BF16": 16, "F16": 16, "U8": 8}  # in the order in which safetensors writes them
FORMAT = {"format": "compresslab", "version": "1"}


@dataclass(frozen=True)
class StoredTensor:
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return prod(self.shape) * BITS[self.dtype] // 8


def uses_mask(weight: WeightPlan) -> bool:
    """Whether one bit a weight and only the kept values are smaller than all values."""
    if weight.nonzero is None:
        return False
    bits = weight.grid.bits if weight.grid else BITS[weight.dtype]
    return _bytes(weight.count) + _bytes(weight.nonzero * bits) < _bytes(weight.count * bits)


def stored_tensors(weight: WeightPlan) -> list[StoredTensor]:
    """The tensors that one weight becomes in the file."""
    masked = uses_mask(weight)
    kept = weight.nonzero if masked and weight.nonzero is not None else weight.count
    tensors = [StoredTensor(f"{weight.name}.mask", "U8", (_bytes(weight.count),))] if masked else []
    if weight.grid is None:
        if not masked:
            return [StoredTensor(weight.name, weight.dtype, weight.shape)]
        return [*tensors, StoredTensor(f"{weight.name}.values", weight.dtype, (kept,))]
    _, *parameters = weight.grid.parts(*weight.shape)
    codes = Part("codes", (kept,), weight.grid.bits)
    return [*tensors, *(_as_stored(weight.name, part) for part in (codes, *parameters))]


def _as_stored(name: str, part: Part) -> StoredTensor:
    if part.bits is None:
        return StoredTensor(f"{name}.{part.name}", "F16", part.shape)
    return StoredTensor(f"{name}.{part.name}", "U8", (_bytes(part.count * part.bits),))


def metadata(weights: Iterable[WeightPlan]) -> dict[str, str]:
    """What a reader needs to undo the packing: shape, kept weights and grid of every weight that changed form."""
    changed = {}
    for weight in sorted(weights, key=lambda w: w.name):
        if weight.grid is not None or uses_mask(weight):
            grid = weight.grid
            changed[weight.name] = {
                "shape": list(weight.shape),
                "dtype": weight.dtype,
                "nonzero": weight.nonzero if uses_mask(weight) else None,
                "grid": plain(grid) if grid else None,
            }
            if weight.activation_bits is not None:
                changed[weight.name]["activation_bits"] = weight.activation_bits
    return FORMAT | {"weights": json.dumps(changed, separators=(",", ":"))}


def read_layout(file: Path, weights: Iterable[WeightPlan]) -> list[WeightPlan]:
    """Every weight of a packed file, from its header alone; `weights` are those of the baseline.

    Blocks may be gone and matrices narrower than the baseline's: the file says.
    """
    header = read_header(file)
    changed = json.loads(header.metadata.get("weights", "{}"))
    found = []
    for weight in weights:
        if weight.name in changed:
            found.append(_as_changed(weight, changed[weight.name]))
        elif weight.name in header.tensors:
            found.append(replace(weight, shape=header.tensors[weight.name].shape))
    return found


def _as_changed(weight: WeightPlan, about: dict[str, Any]) -> WeightPlan:
    return replace(
        weight,
        shape=tuple(about["shape"]),
        grid=read(about["grid"]) if about["grid"] else None,
        nonzero=about["nonzero"],
        activation_bits=about.get("activation_bits"),
    )


def file_bytes(weights: Iterable[WeightPlan]) -> int:
    """Size of the safetensors file, header included. Exact when every weight is."""
    weights = list(weights)
    header, _ = header_and_places(weights)
    return len(header) + sum(tensor.bytes for weight in weights for tensor in stored_tensors(weight))


def header_and_places(weights: Iterable[WeightPlan]) -> tuple[bytes, dict[str, int]]:
    """The beginning of the file, and the byte in the file at which every tensor begins.

    safetensors orders tensors by dtype, then by name, and pads the header to 8 bytes.
    """
    weights = list(weights)
    order = list(BITS)
    tensors = [tensor for weight in weights for tensor in stored_tensors(weight)]
    entries: dict[str, object] = {"__metadata__": metadata(weights)}
    offsets: dict[str, int] = {}
    offset = 0
    for tensor in sorted(tensors, key=lambda t: (order.index(t.dtype), t.name)):
        end = offset + tensor.bytes
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offsets[tensor.name] = offset
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return header, {name: len(header) + offset for name, offset in offsets.items()}


def _bytes(bits_or_flags: int) -> int:
    return ceil(bits_or_flags / 8)
