"""The packed file: written as `models.packed_layout` lays it out, and read back to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compresslab.engine.models.activations import round_inputs
from compresslab.engine.models.architecture import module_of
from compresslab.engine.models.checkpoint import read_config, read_tokenizer
from compresslab.engine.models.device import Choice
from compresslab.engine.models.model import CompressedModel, effective
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import BadInput
from compresslab.grids.grid import Grid, Part
from compresslab.models.facts import ModelFacts
from compresslab.models.packed_layout import PACKED, header_and_places, read_layout, stored_tensors, uses_mask
from compresslab.models.weights import WeightPlan
from safetensors import safe_open
from torch import Tensor

WEIGHTS = PACKED
RECIPE = "recipe.yaml"
AT_ONCE = 2**20  # values: each takes a byte for every bit on its way; a multiple of 8, so that pieces end with a byte


# -- writing ------------------------------------------------------------------------------


def write_packed(model: CompressedModel, file: Path) -> None:
    """The packed file, weight by weight: no more than one of them is packed at a time."""
    layout = model.layout()
    header, places = header_and_places(layout)
    with file.open("wb") as out:
        out.write(header)
        for plan in layout:
            for name, part in _packed(plan, model.stored[plan.name], model.masks.get(plan.name)).items():
                out.seek(places[name])
                out.write(part.flatten().view(torch.uint8).numpy().data)


def write_folder(model: CompressedModel, folder: Path, recipe_yaml: str | None = None) -> None:
    """Weights, config, tokenizer and recipe, enough to load it again, into an empty folder."""
    write_packed(model, folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps(model.module.config.to_dict(), indent=2), encoding="utf-8")
    if model.module.can_generate():
        model.facts.generation.write(folder)
    model.tokenizer.save_pretrained(folder)
    if recipe_yaml is not None:
        (folder / RECIPE).write_text(recipe_yaml, encoding="utf-8")


def _packed(plan: WeightPlan, stored: Tensor | QuantizedWeight, mask: Tensor | None) -> dict[str, Tensor]:
    kept = ~mask if mask is not None and uses_mask(plan) else None
    parts = [] if kept is None else [_bits(kept.cpu().numpy(), 1)]
    if isinstance(stored, QuantizedWeight):
        codes, *parameters = stored.grid.parts(*plan.shape)
        parts.append(_written(codes, stored.codes if kept is None else stored.codes[kept]))
        parts += [_written(part, stored.parameters[part.name]) for part in parameters]
    else:
        parts.append((stored if kept is None else stored[kept]).cpu().contiguous())
    return {tensor.name: part for tensor, part in zip(stored_tensors(plan), parts, strict=True)}


def _written(part: Part, tensor: Tensor) -> Tensor:
    """As it lies in the file."""
    return tensor.cpu() if part.bits is None else _bits(tensor.cpu().numpy(), part.bits)


def _bits(values: np.ndarray[Any, Any], bits: int) -> Tensor:
    """The lowest `bits` bits of every value, one after the other, little-endian within each byte."""
    plain = values.reshape(-1)
    if bits == 8:
        return torch.from_numpy(plain.copy())
    packed = np.empty(-(-plain.size * bits // 8), np.uint8)
    for first in range(0, plain.size, AT_ONCE):
        piece = plain[first : first + AT_ONCE].reshape(-1, 1).view(np.uint8)
        spread = np.packbits(np.unpackbits(piece, axis=1, bitorder="little", count=bits), bitorder="little")
        packed[first * bits // 8 :][: spread.size] = spread
    return torch.from_numpy(packed)


# -- reading ------------------------------------------------------------------------------


def load_packed(folder: Path, facts: ModelFacts, choice: Choice) -> CompressedModel:
    """The compressed model of a run's folder; `facts` are those of its baseline. Raises BadInput."""
    file = folder / WEIGHTS
    if not file.exists():
        raise BadInput("run.no_weights", folder=folder)
    config = read_config(folder)
    weights, stored, masks = _read(file, facts, choice.device)
    values = {name: effective(value) for name, value in stored.items()}
    module = module_of(config, values, choice.dtype, choice.device)
    round_inputs(module, weights.values())
    return CompressedModel(
        facts=facts,
        weights=weights,
        stored=stored,
        masks=masks,
        module=module,
        tokenizer=read_tokenizer(folder),
        device=choice.device,
        dtype=choice.dtype,
    )


def _read(
    file: Path, facts: ModelFacts, device: torch.device
) -> tuple[dict[str, WeightPlan], dict[str, Tensor | QuantizedWeight], dict[str, Tensor]]:
    weights: dict[str, WeightPlan] = {}
    stored: dict[str, Tensor | QuantizedWeight] = {}
    masks: dict[str, Tensor] = {}
    with safe_open(file, framework="pt") as opened:
        for plan in read_layout(file, facts.weights):
            parts = {tensor.name: opened.get_tensor(tensor.name) for tensor in stored_tensors(plan)}
            weights[plan.name] = replace(plan, grid=None, nonzero=None)
            stored[plan.name], mask = _unpacked(plan, parts, device)
            if mask is not None:
                masks[plan.name] = mask
    return weights, stored, masks


def _unpacked(
    plan: WeightPlan, parts: dict[str, Tensor], device: torch.device
) -> tuple[Tensor | QuantizedWeight, Tensor | None]:
    """The stored form of one weight, and its mask where one was written."""
    kept = _flags(parts[f"{plan.name}.mask"], plan).to(device) if f"{plan.name}.mask" in parts else None
    if plan.grid is None:
        if kept is None:
            return parts[plan.name].to(device), None
        values = parts[f"{plan.name}.values"].to(device)
        return torch.zeros(plan.shape, dtype=values.dtype, device=device).masked_scatter_(kept, values), ~kept
    quantized = _quantized(plan, plan.grid, parts, kept).to(device)
    return (quantized, None) if kept is None else (quantized.with_zeros(~kept), ~kept)


def _quantized(plan: WeightPlan, grid: Grid, parts: dict[str, Tensor], kept: Tensor | None) -> QuantizedWeight:
    coded, *parameters = grid.parts(*plan.shape)
    if kept is not None:
        coded = replace(coded, shape=(int(kept.sum()),))
    codes = _read_part(coded, parts[f"{plan.name}.codes"])
    if kept is not None:
        codes = torch.zeros(plan.shape, dtype=torch.uint8).masked_scatter_(kept.cpu(), codes)
    found = {part.name: _read_part(part, parts[f"{plan.name}.{part.name}"]) for part in parameters}
    return QuantizedWeight(codes, found, grid)


def _read_part(part: Part, stored: Tensor) -> Tensor:
    """What `_written` was given."""
    return stored if part.bits is None else _values(stored, part.count, part.bits).view(part.shape)


def _flags(packed: Tensor, plan: WeightPlan) -> Tensor:
    """True where a weight is kept."""
    return _values(packed, plan.count, 1).bool().view(plan.shape)


def _values(packed: Tensor, count: int, bits: int) -> Tensor:
    """The `count` numbers of `bits` bits that `_bits` wrote."""
    values = np.empty(count, np.uint8)
    for first in range(0, count, AT_ONCE):
        piece = values[first : first + AT_ONCE]
        read = packed[first * bits // 8 :].numpy()
        spread = np.unpackbits(read, bitorder="little", count=piece.size * bits).reshape(-1, bits)
        piece[:] = np.packbits(spread, axis=1, bitorder="little")[:, 0]
    return torch.from_numpy(values)
