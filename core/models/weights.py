"""A weight as the plan sees it: its shape, its place in the model, and how it will be stored."""

from dataclasses import dataclass
from typing import Literal

from compresslab.grids.affine import Affine
from compresslab.grids.grid import Grid

Role = Literal["linear", "embedding", "head", "other"]


@dataclass(frozen=True)
class WeightPlan:
    """One stored tensor. `shape` is [out, in] for every matrix, also where a checkpoint keeps it transposed."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # as stored in the checkpoint: F32, F16, BF16
    role: Role
    layer: int | None = None  # index of the decoder block, None outside the blocks
    grid: Grid | None = None
    nonzero: int | None = None  # kept weights where a mask is stored; None: every weight is kept
    activation_bits: int | None = None  # of what a matrix reads, rounded token by token; None: as it comes
    exact: bool = True  # False: `nonzero` is known for the model as a whole only

    @property
    def affine(self) -> Affine | None:
        """The affine grid that its codes lie on; None where there are no codes, or those of another kind of grid."""
        return None if self.grid is None else self.grid.affine

    @property
    def count(self) -> int:
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def sparsity(self) -> float:
        return 0.0 if self.nonzero is None else 1 - self.nonzero / self.count


def zeroed_in_row(columns: int, sparsity: float) -> int:
    """floor(sparsity * columns), safe from 0.29 * 100 being 28.999…"""
    return int(columns * sparsity + 1e-9)
