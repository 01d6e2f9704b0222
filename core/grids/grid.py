"""What a grid is, and what solvers, the packed file, exports and runtimes may ask of one. Torch is imported inside.

A grid divides every row of a matrix [rows, columns] into groups. Each weight has a code, each group has parameters, and

    weight = point(code) * scale(group)

A grid says which points there are and how its parameters are found and stored; rounding, the search for scales, HQQ,
GPTQ and training ask no more of it. Parameters are tensors by name, [rows, groups, ...] each, so that rows can be taken
out and one group's exchanged for better ones. Scales are rounded as they will be stored *before* codes are computed:
the file gives back the very weights that were measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from compresslab.registry import LAST

if TYPE_CHECKING:
    from torch import Tensor

Parameters = Mapping[str, "Tensor"]

SMALLEST_SCALE = 2.0**-24  # the smallest float16 above zero
LARGEST_SCALE = 65504.0  # the largest float16
SEARCH_STEPS = 20
PART = 2**18  # weights that are searched at a time: a few copies of them stay in a core's cache
SHRINK = {2: 0.6, 3: 0.5, 4: 0.4, 5: 0.3, 6: 0.3, 7: 0.2, 8: 0.2}  # by bits: the share of the range given up at most


@dataclass(frozen=True)
class Part:
    """One tensor of a weight on a grid as the packed file keeps it: numbers of so many bits, or float16."""

    name: str
    shape: tuple[int, ...]
    bits: int | None = None  # of a number, one after the other without gaps; None: float16

    @property
    def count(self) -> int:
        return prod(self.shape)


class Grid(ABC):
    """A frozen dataclass whose fields are what a file must say to read it back. `group_size` 0 is one group a row."""

    name: ClassVar[str]  # in recipes and files
    place: ClassVar[int] = LAST  # its place where grids are listed
    summary: ClassVar[str]  # one sentence, after the name, for those who know the field's terms
    widths: ClassVar[tuple[int, ...]]  # bits of a code that there are

    bits: int
    group_size: int

    @classmethod
    @abstractmethod
    def of(cls, bits: int, group_size: int, symmetric: bool) -> Self:
        """The grid that a quantizer's settings describe; `bits` is one of `widths`."""

    # -- without torch ------------------------------------------------------------------

    def groups(self, columns: int) -> int:
        """Groups in one row. The last one may be shorter than the others."""
        return ceil(columns / self.group_size) if self.group_size else 1

    def parts(self, rows: int, columns: int) -> tuple[Part, ...]:
        """What is stored of a matrix: the codes, then the parameters, in the order of the file."""
        return (
            Part("codes", (rows, columns), self.bits),
            Part("scales", (rows, self.groups(columns))),
        )

    @property
    def affine(self) -> Any:
        """The `grids.affine.Affine` on which these very codes and parameters are the same weights, or None.

        Asked by formats and kernels that know no other grids. It stands above: no type can say so here.
        """
        return None

    # -- parameters -----------------------------------------------------------------------

    def fit(self, weight: Tensor) -> Parameters:
        """Those that just reach every weight of a group. `weight` is float32 [rows, columns]."""
        return self.reaching(self.extent(self.in_groups(weight)))

    def search(self, weight: Tensor, importance: Tensor) -> Parameters:
        """As `fit`, but the range shrunk to where the error, weighted by each channel's importance [d], is least.

        Outlying weights are clipped where that buys a finer step for all the others, as in GPTQ's code.
        """
        import torch

        weights = self.in_groups(importance[None])  # [1, g, size]
        parts = self.in_groups(weight).split(max(1, PART // weight.shape[1]))
        found = [self._best(part, weights) for part in parts]
        return {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def _best(self, grouped: Tensor, weights: Tensor) -> Parameters:
        """Of groups [r, g, size]: the parameters [r, g] of the candidate with the least error."""
        import torch

        shrunk = torch.linspace(1, 1 - SHRINK[self.bits], SEARCH_STEPS, device=grouped.device)[:, None, None]
        tried = self.reaching(tuple(end * shrunk for end in self.extent(grouped)))  # [steps, r, g]
        errors = [
            self._error(grouped, {name: each[step] for name, each in tried.items()}, weights)
            for step in range(SEARCH_STEPS)
        ]
        best = torch.stack(errors).min(0, keepdim=True).indices  # argmin is far slower
        return {name: each.gather(0, best)[0] for name, each in tried.items()}

    def _error(self, grouped: Tensor, parameters: Parameters, weights: Tensor) -> Tensor:
        """Sum of every group's errors, to the power 2.5, weighted: [r, g].

        A power above two spares outlying weights: with squares so many are clipped that at 2 and 3 bits whole groups
        become too weak. GPTQ's code takes 2.4; a square root is far quicker. In units of the scale first: fewer passes.
        """
        scales = self.scales(parameters)
        exact = grouped / scales.unsqueeze(2)
        missed, size = self.nearest(exact, parameters).sub_(exact).abs_(), scales.abs()
        return missed.sqrt().mul_(missed.square_()).mul_(weights).sum(2).mul_(size.sqrt() * size.square())

    @abstractmethod
    def extent(self, grouped: Tensor) -> tuple[Tensor, ...]:
        """What the points of every group [r, g, size] must reach: one or several numbers [r, g]."""

    @abstractmethod
    def reaching(self, extent: tuple[Tensor, ...]) -> Parameters:
        """Parameters [..., r, g] of grids that just reach that far."""

    def scales(self, parameters: Parameters) -> Tensor:
        """float32 [rows, groups], of either sign."""
        return parameters["scales"].float()

    def rescaled(self, parameters: Parameters, scales: Tensor) -> Parameters:
        """The parameters with other scales, rounded as they will be stored."""
        return {**parameters, "scales": as_scales(scales)}

    def refitted(self, close: Tensor, values: Tensor, points: Tensor, parameters: Parameters) -> Parameters:
        """The parameters of least squares to `close`, values [r, g, size] less their outlying part, the points of the
        values being given."""
        import torch

        energy = points.square().sum(2)
        scales = (points * close).sum(2) / energy.clamp(min=1)
        return self.rescaled(parameters, torch.where(energy > 0, scales, self.scales(parameters)))

    # -- codes and points -----------------------------------------------------------------

    @abstractmethod
    def nearest(self, exact: Tensor, parameters: Parameters, *, overwrite: bool = False) -> Tensor:
        """The nearest point to each number [r, g, size], both in units of the scale.

        A new tensor, unless `overwrite` says that `exact` is not needed any more.
        """

    @abstractmethod
    def codes(self, exact: Tensor, parameters: Parameters) -> Tensor:
        """uint8 [r, g, size] of the nearest points; `exact`, in units of the scale, may be overwritten."""

    @abstractmethod
    def points(self, codes: Tensor, parameters: Parameters) -> Tensor:
        """A new tensor, float32 [rows, columns], in units of the scale, of codes of that shape."""

    @abstractmethod
    def zero_codes(self, parameters: Parameters) -> Tensor:
        """uint8 [rows, groups]: the code whose point is zero, with which pruned weights stay exactly zero."""

    @abstractmethod
    def snap(self, parameters: Parameters, group: int) -> Callable[[Tensor], Tensor]:
        """What moves one number of each row [r], in units of that group's scale, to the nearest point, in place."""

    @abstractmethod
    def straight_through(self, exact: Tensor, parameters: Parameters) -> Tensor:
        """The nearest points to numbers [rows, columns]; gradients go straight through, within the range."""

    def round(self, weight: Tensor, parameters: Parameters) -> Tensor:
        """Codes, uint8 [rows, columns], of the points nearest to a weight."""
        exact = self.in_groups(weight) / self.scales(parameters).unsqueeze(2)
        return self.codes(exact, parameters).flatten(1)[:, : weight.shape[1]].contiguous()

    def value(self, codes: Tensor, parameters: Parameters) -> Tensor:
        """The weight that the codes stand for: float32 [rows, columns]."""
        return self.points(codes, parameters).mul_(self.spread(self.scales(parameters), codes.shape[1]))

    def in_groups(self, weight: Tensor) -> Tensor:
        """[rows, groups, size]; a short last group is filled up with zeros, which move no grid."""
        import torch

        rows, columns = weight.shape
        size = self.group_size or columns
        missing = self.groups(columns) * size - columns
        if missing:
            weight = torch.nn.functional.pad(weight, (0, missing))
        return weight.view(rows, -1, size) if weight.is_contiguous() else weight.reshape(rows, -1, size)

    def spread(self, groups: Tensor, columns: int) -> Tensor:
        """[rows, groups] -> [rows, columns]: each group's number for all of its weights."""
        return groups.repeat_interleave(self.group_size or columns, dim=1)[:, :columns]


def as_scales(scales: Tensor) -> Tensor:
    """float16, as stored: never infinite, and never zero, so that one can divide by it."""
    import torch

    small = scales.abs() < SMALLEST_SCALE
    sign = torch.where(scales < 0, -1.0, 1.0)
    return torch.where(small, sign * SMALLEST_SCALE, scales.clamp(-LARGEST_SCALE, LARGEST_SCALE)).half()
