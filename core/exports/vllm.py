"""What vLLM asks of a checkpoint beyond its format, as read in vllm 0.33, model_executor/layers/quantization.

It makes one matrix of several: of the queries', keys' and values', and of the two that an MLP begins with. The parts
must be stored alike, and exceptions that are made by name must name the whole too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from compresslab.grids.affine import Affine
from compresslab.messages import Message

WHOLES = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
Grids = Mapping[str, Affine | None]  # by module; None: dense


def wholes(grids: Grids) -> dict[str, Affine | None]:
    """What vLLM makes of parts that are stored alike."""
    return {whole: kinds.pop() for whole, kinds in _kinds(grids).items() if len(kinds) == 1}


def parted(grids: Grids) -> Message | None:
    """Why vLLM can't put the parts together, in one sentence; None where it can."""
    for whole, kinds in _kinds(grids).items():
        if len(kinds) > 1:
            return Message("export.vllm_mixed", weight=whole)
    return None


def _kinds(grids: Grids) -> dict[str, set[Affine | None]]:
    found: dict[str, set[Affine | None]] = defaultdict(set)
    for module, grid in grids.items():
        block, _, part = module.rpartition(".")
        for whole, parts in WHOLES.items():
            if part in parts:
                found[f"{block}.{whole}"].add(grid)
    return found
