"""Grids whose points are a table: one list of levels for all groups, one float16 scale for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

from compresslab.grids.grid import Grid, Parameters, as_scales

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Table(Grid):
    """A grid of this kind is a frozen dataclass that says its levels and its bits."""

    levels: ClassVar[tuple[float, ...]]  # ascending, zero among them

    group_size: int

    @classmethod
    def of(cls, bits: int, group_size: int, symmetric: bool) -> Self:
        return cls(group_size=group_size)

    def extent(self, grouped: Tensor) -> tuple[Tensor, ...]:
        """The largest magnitude of each group."""
        return (grouped.abs().amax(2),)

    def reaching(self, extent: tuple[Tensor, ...]) -> Parameters:
        return {"scales": as_scales(extent[0] / max(map(abs, self.levels)))}

    def nearest(self, exact: Tensor, parameters: Parameters, *, overwrite: bool = False) -> Tensor:
        return _on(exact.device, self.levels)[_places(exact, self._between(exact.device))]

    def codes(self, exact: Tensor, parameters: Parameters) -> Tensor:
        import torch

        return _places(exact, self._between(exact.device)).to(torch.uint8)

    def points(self, codes: Tensor, parameters: Parameters) -> Tensor:
        return _on(codes.device, self.levels)[codes.int()]

    def zero_codes(self, parameters: Parameters) -> Tensor:
        import torch

        scales = parameters["scales"]
        return torch.full(scales.shape, self.levels.index(0.0), dtype=torch.uint8, device=scales.device)

    def snap(self, parameters: Parameters, group: int) -> Callable[[Tensor], Tensor]:
        device = parameters["scales"].device
        levels, between = _on(device, self.levels), self._between(device)
        return lambda exact: exact.copy_(levels[_places(exact, between)])

    def straight_through(self, exact: Tensor, parameters: Parameters) -> Tensor:
        inside = exact.clamp(self.levels[0], self.levels[-1])
        return inside + (self.nearest(inside.detach(), parameters) - inside).detach()

    def _between(self, device: torch.device) -> Tensor:
        """The middle between every two neighbours."""
        return _on(device, tuple((low + high) / 2 for low, high in pairwise(self.levels)))


def _places(exact: Tensor, between: Tensor) -> Tensor:
    """int32: the place in the table of the nearest level; of two that are as near, the lower."""
    import torch

    return torch.bucketize(exact, between, out_int32=True)


@cache
def _on(device: torch.device, numbers: tuple[float, ...]) -> Tensor:
    import torch

    return torch.tensor(numbers, dtype=torch.float32, device=device)
