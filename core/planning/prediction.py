"""Predicted perplexity of a recipe that nobody ran, with an error that was itself measured. No torch.

Every matrix does its damage alone: loss under its setting times what it matters. Their sum D is held against whole
models that were measured: log(perplexity ratio) = D * exp(r), where r is a curve over log D, shared by all methods, and
an offset of each method. (That damages add is the linearity theorem of HIGGS, arXiv:2411.17525, section 3; the curve is
what the layers do to each other.) The error is that of predicting each measured point from all the others; it grows
beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt
from typing import Any

import numpy as np
from compresslab.errors import CompresslabError
from compresslab.messages import Message
from compresslab.models.weights import WeightPlan
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.layerwise import LayerMethod
from compresslab.recipes.method import Method
from compresslab.recipes.recipe import Recipe

BANDWIDTH = 0.5  # of the curve's kernel, in log D
OTHER_METHOD = 0.2  # weight of a point of another method, beside one of the same
RIDGE = 0.03  # holds its slope down where few points tell of it
ROUNDS = 6  # of fitting curve and offsets in turn
FEWEST = 4  # measured points that a prediction takes
LEAST_ERROR = 0.04  # of log(log ratio)
BEYOND = 0.35  # more error for every e-fold of damage beyond the measured points
CLEAR = 3.0  # standard errors that a measured point must lie above zero to tell anything
SURE = 2.2  # standard errors on either side of the prediction that its interval spans
MOST = 20.0  # nats: more than any vocabulary allows

Steps = tuple[Method, ...]
Shares = dict[str, float]  # of the damage, by method
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Prediction:
    """An estimate, never a measurement. `low` to `high` holds the measured ratio in about 95 of 100 cases."""

    perplexity_ratio: float  # compressed over baseline
    low: float
    high: float
    dataset: Message  # that the points were measured on
    extrapolated: bool  # more damage than any measured point has


class NotPredicted(CompresslabError):
    """Why there is no prediction, in one sentence."""


@dataclass(frozen=True)
class _Known:
    x: float  # log D
    r: float  # log(log ratio / D)
    shares: Shares


class _Curve:
    """r over x: local lines through the points, once every method's offset is taken off."""

    def __init__(self, known: Sequence[_Known]) -> None:
        self._x, self._r = np.array([k.x for k in known]), np.array([k.r for k in known])
        self._names = sorted({name for k in known for name in k.shares})
        self._shares = np.array([self._row(k.shares) for k in known])  # [points, methods]
        self._offsets = np.zeros(len(self._names))
        for _ in range(ROUNDS):
            for place, share in enumerate(self._shares.T):
                self._offsets[place] = self._fitted(share)

    def at(self, x: float, shares: Shares) -> float:
        mine = self._row(shares)
        alike = np.minimum(self._shares, mine).sum(1)
        line = self._lines(np.array([x]), OTHER_METHOD + (1 - OTHER_METHOD) * alike)
        return float(line[0] + mine @ self._offsets)

    def _row(self, shares: Shares) -> Array:
        return np.array([shares.get(name, 0.0) for name in self._names])

    def _fitted(self, share: Array) -> float:
        """How far the points of one method lie above the line of the others, drawn to zero as if by one more point."""
        if share.all():
            return 0.0
        above = self._r - self._lines(self._x, 1 - share)
        return float(share @ above / (share.sum() + 1))

    def _lines(self, at: Array, weights: Array) -> Array:
        """Local linear regression at each place, level beyond the points."""
        away = np.abs(at[:, None] - self._x)  # [places, points]
        nearest = away[:, weights > 0].min(1, keepdims=True)
        weights = weights * np.exp(-(((away - nearest) / BANDWIDTH) ** 2) / 2)
        weights /= weights.sum(1, keepdims=True)
        values = self._r - self._shares @ self._offsets
        centre, middle = weights @ self._x, weights @ values
        offsets = self._x - centre[:, None]
        slope = (weights * offsets * (values - middle[:, None])).sum(1) / ((weights * offsets**2).sum(1) + RIDGE)
        found: Array = middle + slope * (np.clip(at, self._x.min(), self._x.max()) - centre)
        return found


class Predictor:
    """A sensitivity table with the curve through its measured points."""

    def __init__(self, table: SensitivityTable, weights: tuple[WeightPlan, ...]) -> None:
        self._table, self._weights = table, weights
        self._known: list[_Known] = []
        for point in table.points:
            by_method = self._by_method(Recipe.from_dict({"steps": point.steps}).steps)
            damage = sum(by_method.values())
            if damage > 0 and point.log_ratio > CLEAR * point.error:
                self._known.append(_Known(log(damage), log(point.log_ratio / damage), _shares(by_method)))
        if len(self._known) >= FEWEST:
            self._curve = _Curve(self._known)
            self._residuals = np.array([self._residual(n) for n in range(len(self._known))])
        noise = [(p.log_ratio - p.divergence) ** 2 / p.divergence for p in table.points if 0 < p.divergence < 0.3]
        self._noise = sum(noise) / len(noise) if noise else 0.0

    def predict(self, steps: Steps) -> Prediction:
        """Raises NotPredicted with the reason."""
        by_method = self._by_method(steps)
        damage = sum(by_method.values())
        if damage == 0:
            return Prediction(1.0, 1.0, 1.0, self._table.dataset, extrapolated=False)
        if len(self._known) < FEWEST:
            raise NotPredicted("prediction.few_points")
        x = log(damage)
        middle = min(MOST, exp(x + self._curve.at(x, _shares(by_method))))
        beyond = max(0.0, x - max(known.x for known in self._known))
        relative = SURE * (max(LEAST_ERROR, self._spread(x)) + BEYOND * beyond)
        # What the slope of the loss along the change adds, up or down: it goes with the root of the damage.
        slope = SURE * sqrt(self._noise * damage)
        low = min(middle * exp(-relative), middle - slope)
        high = min(MOST, max(middle * exp(relative), middle + slope))
        return Prediction(exp(middle), exp(low), exp(high), self._table.dataset, extrapolated=beyond > 0)

    def damage(self, steps: Steps) -> float:
        """Nats of divergence a token, if the matrices did not act on each other. Raises NotPredicted."""
        return sum(self._by_method(steps).values())

    def _by_method(self, steps: Steps) -> Shares:
        found: Shares = {}
        for step in steps:
            if not isinstance(step, LayerMethod):
                raise NotPredicted(_why_not(step))
            damage = sum(self._damage(step, weight) for weight in self._weights)
            found[step.name] = found.get(step.name, 0.0) + damage
        return found

    def _damage(self, step: LayerMethod, weight: WeightPlan) -> float:
        own = step.for_weight(weight.name) if step.touches(weight) else None
        if own is None or own.foresee_weight(weight) == weight:
            return 0.0
        damage = self._table.damage(own, weight)
        if damage is None:
            raise NotPredicted("prediction.not_measured", method=step.name)
        return damage

    def _residual(self, left_out: int) -> float:
        """How far one point lies above the prediction from all others."""
        point = self._known[left_out]
        others = [k for n, k in enumerate(self._known) if n != left_out]
        return point.r - _Curve(others).at(point.x, point.shares)

    def _spread(self, x: float) -> float:
        """Root mean square of the residuals near x."""
        away = np.abs(np.array([k.x for k in self._known]) - x)
        weights = np.exp(-(((away - away.min()) / (2 * BANDWIDTH)) ** 2) / 2)
        return sqrt(weights @ self._residuals**2 / weights.sum())


@lru_cache(maxsize=8)
def predictor(table: SensitivityTable, weights: tuple[WeightPlan, ...]) -> Predictor:
    return Predictor(table, weights)


def _shares(by_method: Shares) -> Shares:
    whole = sum(by_method.values())
    return {name: damage / whole for name, damage in by_method.items() if damage > 0}


def _why_not(step: Method) -> Message:
    if step.kind == "distill":
        return Message("prediction.training")
    return Message("prediction.whole_parts", method=step.name)
