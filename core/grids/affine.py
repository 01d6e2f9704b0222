"""The affine grid: evenly spaced points, weight = (code - zero) * scale.

Jacob et al. 2018, arXiv:1712.05877, section 2.1; per group as in GPTQ, arXiv:2210.17323. Zero is always on the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from compresslab.grids.grid import Grid, Parameters, Part, as_scales

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Affine(Grid):
    """Parameters are `scales`, float16, and where the grid is not symmetric `zeros`, uint8, both [rows, groups].

    Symmetric: zero is code 2^(bits-1), the levels are -2^(bits-1) to 2^(bits-1) - 1.
    """

    name: ClassVar[str] = "affine"
    place: ClassVar[int] = 10
    summary: ClassVar[str] = "evenly spaced levels, 2 to 8 bits."
    widths: ClassVar[tuple[int, ...]] = (2, 3, 4, 5, 6, 7, 8)

    bits: int
    group_size: int
    symmetric: bool

    @classmethod
    def of(cls, bits: int, group_size: int, symmetric: bool) -> Self:
        return cls(bits, group_size, symmetric)

    @property
    def affine(self) -> Affine:
        return self

    @property
    def middle(self) -> int:
        """The code of zero on a symmetric grid."""
        return 2 ** (self.bits - 1)

    @property
    def top(self) -> int:
        """The highest code."""
        return 2**self.bits - 1

    def parts(self, rows: int, columns: int) -> tuple[Part, ...]:
        zeros = Part("zeros", (rows, self.groups(columns)), self.bits)
        return super().parts(rows, columns) + (() if self.symmetric else (zeros,))

    # -- parameters -----------------------------------------------------------------------

    def extent(self, grouped: Tensor) -> tuple[Tensor, ...]:
        """Symmetric: the weight of largest magnitude. Otherwise the lowest and the highest, zero among them."""
        if self.symmetric:
            return (grouped.gather(2, grouped.abs().argmax(2, keepdim=True)).squeeze(2),)
        return grouped.amin(2).clamp(max=0), grouped.amax(2).clamp(min=0)

    def reaching(self, extent: tuple[Tensor, ...]) -> Parameters:
        """Symmetric: the weight of largest magnitude falls on the lowest code, whatever its sign; so all levels are in
        use, and the scale is negative where that weight is positive. Otherwise an integer zero point in the range."""
        import torch

        if self.symmetric:
            return {"scales": as_scales(extent[0] / -self.middle)}
        low, high = extent
        scales = as_scales((high - low) / self.top)
        return {"scales": scales, "zeros": (-low / scales.float()).round().clamp(0, self.top).to(torch.uint8)}

    def refitted(self, close: Tensor, values: Tensor, points: Tensor, parameters: Parameters) -> Parameters:
        """Zero points first, which are stored as integers; then the scale, to the points that are nearest now."""
        import torch

        if not self.symmetric:
            scales = self.scales(parameters).unsqueeze(2)
            moved = (points - close / scales).mean(2).round()
            zeros = (parameters["zeros"].float() + moved).clamp(0, self.top).to(torch.uint8)
            parameters = {**parameters, "zeros": zeros}
            points = self.nearest(values / scales, parameters, overwrite=True)
        return super().refitted(close, values, points, parameters)

    # -- codes and points -----------------------------------------------------------------

    def nearest(self, exact: Tensor, parameters: Parameters, *, overwrite: bool = False) -> Tensor:
        zeros = self._zeros(parameters)
        return (exact.round_() if overwrite else exact.round()).add_(zeros).clamp_(0, self.top).sub_(zeros)

    def codes(self, exact: Tensor, parameters: Parameters) -> Tensor:
        import torch

        return exact.round_().add_(self._zeros(parameters)).clamp_(0, self.top).to(torch.uint8)

    def points(self, codes: Tensor, parameters: Parameters) -> Tensor:
        return codes.float().sub_(self._zero_of_each(parameters, codes.shape[1]))

    def zero_codes(self, parameters: Parameters) -> Tensor:
        import torch

        if not self.symmetric:
            return parameters["zeros"]
        scales = parameters["scales"]
        return torch.full(scales.shape, self.middle, dtype=torch.uint8, device=scales.device)

    def snap(self, parameters: Parameters, group: int) -> Callable[[Tensor], Tensor]:
        if self.symmetric:
            low, high = -self.middle, self.top - self.middle
            return lambda exact: exact.round_().clamp_(low, high)
        zeros = parameters["zeros"][:, group].float()
        lowest, highest = -zeros, self.top - zeros
        return lambda exact: exact.round_().clamp_(lowest, highest)

    def straight_through(self, exact: Tensor, parameters: Parameters) -> Tensor:
        zeros = self._zero_of_each(parameters, exact.shape[1])
        place = (exact + zeros).clamp(0, self.top)
        return place + (place.round() - place).detach() - zeros

    def _zeros(self, parameters: Parameters) -> Tensor | float:
        """Of groups [r, g, size]."""
        return float(self.middle) if self.symmetric else parameters["zeros"].float().unsqueeze(2)

    def _zero_of_each(self, parameters: Parameters, columns: int) -> Tensor | float:
        """Of weights [rows, columns]."""
        return float(self.middle) if self.symmetric else self.spread(parameters["zeros"].float(), columns)
