"""Where a block reads the units that may go out of it: its MLP channels and its attention heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.models.narrowing import Widths
from torch import Tensor


@dataclass(frozen=True)
class Site:
    """A matrix that reads units, `size` columns each; of every `groups`-th part of them equally many stay."""

    weight: str
    layer: int
    is_mlp: bool
    units: int
    size: int
    groups: int
    keep: int  # in every group

    @property
    def bias(self) -> str:
        return f"{self.weight.removesuffix('weight')}bias"

    def columns(self, units: Tensor) -> Tensor:
        """The columns of these units, in order: [units * size]."""
        return (units.unsqueeze(1) * self.size + torch.arange(self.size, device=units.device)).flatten()

    def best(self, worth: Tensor) -> Tensor:
        """The units that are worth most: int64, ascending."""
        kept = worth.view(self.groups, -1).topk(self.keep, dim=1).indices  # [groups, keep]
        first = torch.arange(self.groups, device=worth.device).unsqueeze(1) * (self.units // self.groups)
        return (kept + first).flatten().sort().values


def sites(model: CompressedModel, before: Widths, after: Widths) -> Iterator[Site]:
    """The output matrices of all blocks that lose units."""
    anatomy, heads, left = model.facts.anatomy, before.heads, after.heads
    for layer in range(model.depth):
        if left.kv_count < heads.kv_count:  # whole groups go
            name = anatomy.weight(layer, anatomy.attention.output)
            yield Site(name, layer, False, heads.kv_count, heads.shared_by * heads.dim, 1, left.kv_count)
        elif left.count < heads.count:  # query heads of each group
            name = anatomy.weight(layer, anatomy.attention.output)
            yield Site(name, layer, False, heads.count, heads.dim, heads.kv_count, left.shared_by)
        if after.channels < before.channels:
            name = anatomy.weight(layer, anatomy.mlp.output)
            yield Site(name, layer, True, before.channels, 1, 1, after.channels)
