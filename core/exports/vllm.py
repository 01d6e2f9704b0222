"""What vLLM asks of a checkpoint beyond its format, as read in vllm 0.33, model_executor/layers/quantization.

Its kernels for weights of few bits know the widths and groups below; what a row has must be whole groups.

It makes one matrix of several: of the queries', keys' and values', and of the two that an MLP begins with. The parts
must be stored alike, and exceptions that are made by name must name the whole too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from compresslab.grids.affine import Affine
from compresslab.messages import Message

WHOLES = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
GROUPS = (0, 32, 64, 128)  # 0: one a row
Grids = Mapping[str, Affine | None]  # by module; None: dense


def runs(grid: Affine, columns: int) -> bool:
    """Whether a kernel multiplies a matrix stored so, with rows of so many weights."""
    width = grid.bits in (4, 8) if grid.symmetric else grid.bits == 4
    return width and grid.group_size in GROUPS and columns % (grid.group_size or columns) == 0


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
