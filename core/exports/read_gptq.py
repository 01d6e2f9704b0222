"""A GPTQ checkpoint read by its definition alone, where GPTQModel is not installed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from compresslab.exports.words import unpacked
from safetensors.torch import load_file
from torch import Tensor


def dequantized(folder: Path) -> dict[str, Tensor]:
    """Every weight in float32, matrices [out, in]."""
    config = json.loads((folder / "quantize_config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "model.safetensors")
    conv1d = {"gpt2"} & {json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]}
    found = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "qweight":
            found[f"{module}.weight"] = _weight(module, tensors, config)
        elif part not in ("qzeros", "scales", "g_idx"):
            turned = conv1d and tensor.ndim == 2 and ".h." in name
            found[name] = (tensor.T if turned else tensor).float()
    return found


def _weight(module: str, tensors: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    """(code - zero point) * scale, each column of W by the group that g_idx gives it."""
    bits = _bits(module, config)
    scales, group = tensors[f"{module}.scales"].float(), tensors[f"{module}.g_idx"].long()  # [groups, rows], [columns]
    rows, columns = scales.shape[1], len(group)
    codes = unpacked(tensors[f"{module}.qweight"].T, bits, columns)
    more = 1 if config["checkpoint_format"] == "gptq" else 0
    zeros = unpacked(tensors[f"{module}.qzeros"], bits, rows) + more
    return (codes - zeros[group].T).float() * scales[group].T


def _bits(module: str, config: dict[str, Any]) -> int:
    for pattern, values in config.get("dynamic", {}).items():
        if pattern.startswith("+:") and re.match(pattern.removeprefix("+:"), module):
            return int(values.get("bits", config["bits"]))
    return int(config["bits"])
