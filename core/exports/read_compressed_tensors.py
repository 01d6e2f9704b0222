"""A pack-quantized checkpoint read by its definition alone, where the compressed-tensors package is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from compresslab.exports.words import unpacked
from safetensors.torch import load_file
from torch import Tensor


def dequantized(folder: Path) -> dict[str, Tensor]:
    """Every weight in float32, as its module names it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    schemes = {target: group["weights"] for group in config["config_groups"].values() for target in group["targets"]}
    tensors = load_file(folder / "model.safetensors")
    found = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "weight_packed":
            found[f"{module}.weight"] = _weight(module, tensors, schemes[module])
        elif not part.startswith("weight_"):
            found[name] = tensor.float()
    return found


def _weight(module: str, tensors: dict[str, Tensor], scheme: dict[str, Any]) -> Tensor:
    """(code - zero point) * scale, both counted from -2^(bits-1); a symmetric grid has zero point 0."""
    rows, columns = tensors[f"{module}.weight_shape"].tolist()
    bits, half = scheme["num_bits"], 2 ** (scheme["num_bits"] - 1)
    values = (unpacked(tensors[f"{module}.weight_packed"], bits, columns) - half).float()
    scales = tensors[f"{module}.weight_scale"].float()
    zeros = torch.zeros_like(scales)
    if not scheme["symmetric"]:
        zeros = (unpacked(tensors[f"{module}.weight_zero_point"].T, bits, rows).T - half).float()
    size = scheme["group_size"] or columns
    group = torch.arange(columns) // size
    return (values - zeros[:, group]) * scales[:, group]
