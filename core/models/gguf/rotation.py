"""Long contexts stretched as in Llama 3: a config has four numbers for it, a GGUF file the factors that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from compresslab.errors import BadInput
from compresslab.models.gguf.header import Tensor

FACTORS = "rope_freqs.weight"
LOW, HIGH = 1.0, 4.0  # of every model of the kind
CONTEXTS = tuple(2**power for power in range(4, 21))
LIKE = 1e-4
Array = np.ndarray[Any, Any]


def factors(turning: Mapping[str, Any], dim: int) -> Array:
    """By how much each of the frequencies of a head of `dim` rows is divided: float32 [dim / 2]."""
    waves = 2 * math.pi * turning["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    factor, low, high = turning["factor"], turning["low_freq_factor"], turning["high_freq_factor"]
    context = turning["original_max_position_embeddings"]
    smooth = np.clip((context / waves - low) / (high - low), 0, 1)  # 1: short waves, left as they are
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def stretching(file: Path, tensor: Tensor, turning: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The four numbers. Raises BadInput where these factors come of none that are known here."""
    found = np.fromfile(file, np.float32, tensor.shape[-1], offset=tensor.begin) if tensor.kind == "F32" else None
    if found is None or len(tensor.shape) != 1 or not np.isfinite(found).all() or not found.size:
        raise BadInput("gguf_in.positions", name=name, kind=FACTORS)
    for context in CONTEXTS:
        numbers = {
            "rope_type": "llama3",
            "factor": round(float(found.max()), 3),
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": context,
        }
        if np.allclose(factors({**turning, **numbers}, 2 * found.size), found, rtol=LIKE):
            return numbers
    raise BadInput("gguf_in.positions", name=name, kind=FACTORS)
