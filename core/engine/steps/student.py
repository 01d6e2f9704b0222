"""A model while it is trained: float32 parameters, and what becomes of them where weights are masked or rounded."""

from __future__ import annotations

from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight
from compresslab.recipes.distilling import Distiller
from torch import Tensor, nn

LOW_RANK_SPREAD = 0.02  # of the random half of a low-rank update; the other half starts at zero


class Student:
    """The model itself stays as it is until `settle`."""

    def __init__(self, model: CompressedModel, settings: Distiller, seed: int) -> None:
        self._model, self._settings = model, settings
        self._kept = {name: ~mask for name, mask in model.masks.items()}
        self._frozen = {name: model.weight(name) for name in model.stored}
        self._own: dict[str, nn.Parameter] = {}  # weights trained directly
        self._low_rank: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        self._steps: dict[str, nn.Parameter] = {}  # of grids, relative to those they start with
        generator = torch.Generator().manual_seed(seed)
        for name in model.stored:
            self._prepare(name, generator)

    def _prepare(self, name: str, generator: torch.Generator) -> None:
        weight, stored = self._frozen[name], self._model.stored[name]
        matrix = self._model.weights[name].role == "linear"
        if self._settings.train == "all" or (self._settings.train == "norms" and weight.dim() < 2):
            self._own[name] = nn.Parameter(weight.clone())
        elif self._settings.train == "low rank" and matrix:
            rank = min(self._settings.rank, *weight.shape)
            inner = torch.randn(rank, weight.shape[1], generator=generator) * LOW_RANK_SPREAD
            outer = torch.zeros(weight.shape[0], rank)
            self._low_rank[name] = (nn.Parameter(outer.to(weight.device)), nn.Parameter(inner.to(weight.device)))
        if isinstance(stored, QuantizedWeight) and (name in self._own or name in self._low_rank):
            self._steps[name] = nn.Parameter(torch.ones_like(stored.scales))

    @property
    def parameters(self) -> list[nn.Parameter]:
        pairs = [half for pair in self._low_rank.values() for half in pair]
        return [*self._own.values(), *pairs, *self._steps.values()]

    def __call__(self, batch: Tensor, **options: Any) -> Any:
        """What the model gives for token ids [B, T], with gradients."""
        values = {name: self._effective(name) for name in self._changed}
        arguments = {"input_ids": batch, "use_cache": False, **options}
        return torch.func.functional_call(self._model.module, values, (), arguments, tie_weights=True)

    @property
    def _changed(self) -> list[str]:
        return [*self._own, *self._low_rank]

    def _float(self, name: str) -> Tensor:
        if name in self._own:
            return self._own[name]
        outer, inner = self._low_rank[name]
        return self._frozen[name] + outer @ inner

    def _effective(self, name: str) -> Tensor:
        value, stored = self._float(name), self._model.stored[name]
        if isinstance(stored, QuantizedWeight):
            value = _rounded(value, stored, self._steps[name])
        return value * self._kept[name] if name in self._kept else value

    def settle(self) -> None:
        """Put what was learned into the model, on the same grids, under the same masks."""
        for name in self._changed:
            value, stored = self._float(name).detach(), self._model.stored[name]
            if isinstance(stored, QuantizedWeight):
                self._model.quantize(name, _requantized(value, stored, self._steps[name].detach()))
            else:
                self._model.settle({name: value})


def _rounded(value: Tensor, stored: QuantizedWeight, steps: Tensor) -> Tensor:
    """Rounded forward, straight through backward; the steps of the grid are learned too (LSQ, arXiv:1902.08153)."""
    scales = stored.grid.spread(stored.scales * steps, value.shape[1])
    return stored.grid.straight_through(value / scales, stored.parameters) * scales


def _requantized(value: Tensor, stored: QuantizedWeight, steps: Tensor) -> QuantizedWeight:
    return Fitted(stored.grid, stored.rescaled(stored.scales * steps).parameters).round(value)
