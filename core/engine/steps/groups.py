"""Matrices that share an input and settings: what a solver is given of them, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.models.model import STORAGE, CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.recipes.layerwise import LayerMethod
from torch import Tensor

M = TypeVar("M", bound=LayerMethod)


@dataclass(frozen=True)
class Group:
    """Nothing of it may be changed in place."""

    names: tuple[str, ...]
    weights: tuple[Tensor, ...]  # as they take effect: float32 [r, d] each
    masks: tuple[Tensor | None, ...]  # bool, True at earlier zeros; None where there are none
    dtypes: tuple[torch.dtype, ...]  # in which they are stored
    inputs: InputStatistics | None  # None where the method asked for none
    check: Callable[[], None]  # raises Cancelled

    @classmethod
    def of(
        cls, model: CompressedModel, names: Sequence[str], inputs: InputStatistics | None, check: Callable[[], None]
    ) -> Group:
        return cls(
            names=tuple(names),
            weights=tuple(model.weight(name) for name in names),
            masks=tuple(model.masks.get(name) for name in names),
            dtypes=tuple(STORAGE[model.weights[name].dtype] for name in names),
            inputs=inputs,
            check=check,
        )

    @property
    def statistics(self) -> InputStatistics:
        """Of the input that they share. Raises LookupError where the method asked for none."""
        if self.inputs is None:
            raise LookupError(f"{self.names[0]}: no statistics of its input were asked for")
        return self.inputs

    @cached_property
    def weight(self) -> Tensor:
        """All matrices, one below the other: float32 [rows, d]."""
        return self.weights[0] if len(self.weights) == 1 else torch.cat(self.weights)

    @property
    def rows(self) -> list[int]:
        """Of each matrix."""
        return [len(weight) for weight in self.weights]

    @cached_property
    def earlier(self) -> Tensor | None:
        """Earlier zeros, bool [rows, d]; None where there are none at all."""
        if all(mask is None for mask in self.masks):
            return None
        pairs = zip(self.masks, self.weights, strict=True)
        return torch.cat([torch.zeros_like(w, dtype=torch.bool) if m is None else m for m, w in pairs])

    def each(self, make: Callable[[Group], Tensor]) -> Tensor:
        """What is made of every matrix by itself, one below the other."""
        parts = zip(self.names, self.weights, self.masks, self.dtypes, strict=True)
        singles = [replace(self, names=(n,), weights=(w,), masks=(m,), dtypes=(d,)) for n, w, m, d in parts]
        return torch.cat([make(single) for single in singles])

    def as_stored(self, weight: Tensor) -> Tensor:
        """Weights [rows, d] as they take effect once they are stored: float32."""
        parts = zip(weight.split(self.rows), self.dtypes, strict=True)
        return torch.cat([part.to(dtype).float() for part, dtype in parts])  # a copy


@dataclass(frozen=True)
class SolvedGroup:
    """What becomes of the matrices, one below the other; what is None stays as it is."""

    weight: Tensor | None = None  # float32 [rows, d]
    mask: Tensor | None = None  # bool [rows, d], True where a weight becomes zero
    stored: QuantizedWeight | None = None
    others: Mapping[str, Tensor | QuantizedWeight] = field(default_factory=dict)  # that change with them, by name

    def put_into(self, model: CompressedModel, names: Sequence[str]) -> None:
        """Write it into the model, matrix by matrix."""
        for name, value in self.others.items():
            if isinstance(value, QuantizedWeight):
                model.quantize(name, value)
            else:
                model.settle({name: value})
        begin = 0
        for name in names:
            rows = slice(begin, begin := begin + model.weights[name].shape[0])
            if self.weight is not None:
                model.settle({name: self.weight[rows]})
            if self.mask is not None:
                model.prune(name, self.mask[rows])
            if self.stored is not None:
                model.quantize(name, self.stored.rows(rows))


def by_settings(names: Sequence[str], chosen: Mapping[str, M]) -> Iterator[tuple[list[str], M]]:
    """Those of the same settings together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(chosen[name].model_dump_json(), []).append(name)
    for group in groups.values():
        yield group, chosen[group[0]]
