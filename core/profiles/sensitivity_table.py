"""What every weight matrix of a model loses under every setting, measured once. Plain data: no torch.

A *column* is one setting of one method: for each matrix the error of its outputs on the calibration text relative to
the outputs, tr(dW H dW^T) / tr(W H W^T). Between columns the logarithm of the loss is interpolated: it is nearly
linear in the bits, in the logarithm of the group size and in the logit of the sparsity.
"""

from __future__ import annotations

from functools import cached_property
from math import exp, log, log2
from typing import Any

from compresslab.messages import Message
from compresslab.models.weights import WeightPlan
from compresslab.recipes.layerwise import LayerMethod, Pruner
from compresslab.records.record import Record

SMALLEST = 1e-9  # a loss below it is not told from none
MOST_SPARSE = 0.99
PLACED = {"bits", "group_size", "sparsity"}  # where a column stands; any other setting makes it a variant
NOT_OF_A_MATRIX = {"ignore", "overrides", "embedding_bits", "head_bits"}

Place = tuple[float, ...]


class Column(Record):
    """One setting of one method. `variant` are the settings, beside its place, that differ from the defaults."""

    method: str
    kind: str
    settings: dict[str, Any]
    variant: dict[str, Any]
    losses: dict[str, float]  # by matrix


class Point(Record):
    """A whole model that was compressed and measured: what predictions are held against."""

    steps: list[dict[str, dict[str, Any]]]
    log_ratio: float  # of perplexity, compressed over baseline
    error: float  # its standard error, paired
    divergence: float  # KL(baseline || compressed), nats a token


class SensitivityTable(Record):
    model: str
    about: dict[str, Any]  # the calibration and evaluation that it was measured with
    dataset: Message
    tokens: int  # that every measured point was scored on
    created: str  # ISO 8601, UTC
    seconds: float
    importance: dict[str, dict[str, float]]  # kind of step -> matrix -> nats a token per unit of relative loss
    columns: list[Column]
    points: list[Point]

    def __hash__(self) -> int:
        return id(self)

    def loss(self, own: LayerMethod, weight: WeightPlan) -> float | None:
        """Relative loss of one matrix under its own settings; None where nothing like them was measured."""
        method, place = self._measured_as(own), place_of(own, weight)
        if method is None or weight.name not in self.importance.get(own.kind, {}):
            return None
        found = self._logarithm(method, {}, weight, place)
        for name, value in variant_of(own).items():
            more = self._logarithm(method, {name: value}, weight, place)
            if found is None or more is None:
                return None
            found += more
        return None if found is None else min(1.0, exp(found))

    def damage(self, own: LayerMethod, weight: WeightPlan) -> float | None:
        """The loss times what it matters: nats of divergence, were this the only matrix that changed."""
        loss = self.loss(own, weight)
        return None if loss is None else loss * self.importance[own.kind][weight.name]

    @cached_property
    def _by_variant(self) -> dict[tuple[str, str], list[Column]]:
        found: dict[tuple[str, str], list[Column]] = {}
        for column in self.columns:
            found.setdefault((column.method, repr(sorted(column.variant.items()))), []).append(column)
        return found

    def _measured_as(self, own: LayerMethod) -> str | None:
        """The method itself; for one that also rescales its inputs, so that its losses can't be seen in the weights
        alone, another of its kind, as long as measured points tell how far it differs."""
        named = {column.method: column.kind for column in self.columns}
        if own.name in named:
            return own.name
        measured = {name for point in self.points for step in point.steps for name in step}
        alike = [name for name, kind in named.items() if kind == own.kind]
        return alike[0] if alike and own.name in measured else None

    def _logarithm(self, method: str, variant: dict[str, Any], weight: WeightPlan, place: Place) -> float | None:
        """Of the loss; for a variant, by how much it differs from that of the plain method."""
        places: dict[Place, float] = {}
        for column in self._by_variant.get((method, repr(sorted(variant.items()))), []):
            if weight.name not in column.losses:
                continue
            there = _place(column.kind, column.settings, weight)
            value = log(max(SMALLEST, column.losses[weight.name]))
            if variant:
                plain = self._logarithm(method, {}, weight, there)
                if plain is None:
                    return None
                value -= plain
            places[there] = value
        return _interpolated(places, place, beyond=not variant) if places else None


def column(step: LayerMethod, losses: dict[str, float]) -> Column:
    """What was measured of a step that treats every matrix alike."""
    return Column(method=step.name, kind=step.kind, settings=_placed(step), variant=variant_of(step), losses=losses)


def place_of(own: LayerMethod, weight: WeightPlan) -> Place:
    grid = own.foresee_weight(weight).grid
    if own.kind == "quantize" and grid is not None:
        return _place(own.kind, {"bits": grid.bits, "group_size": grid.group_size}, weight)
    return _place(own.kind, _placed(own), weight)


def _placed(own: LayerMethod) -> dict[str, Any]:
    settings = own.model_dump(include=PLACED)
    if isinstance(own, Pruner) and own.pattern is not None:
        settings["sparsity"] = 1 - own.pattern[0] / own.pattern[1]
    return settings


def variant_of(own: LayerMethod) -> dict[str, Any]:
    """Choices and patterns that differ from the defaults; numbers that are no place change little and are left out."""
    told = {c.name: c.default for c in own.controls() if c.kind in ("choice", "flag", "text")}
    left_out = PLACED | NOT_OF_A_MATRIX
    return {n: getattr(own, n) for n, d in told.items() if n not in left_out and getattr(own, n) != d}


def _place(kind: str, settings: dict[str, Any], weight: WeightPlan) -> Place:
    if kind == "quantize":
        columns = weight.shape[1]
        return settings["bits"], log2(min(settings["group_size"] or columns, columns))
    share = min(MOST_SPARSE, max(1 - MOST_SPARSE, settings["sparsity"]))
    return (log(share / (1 - share)),)


def _interpolated(places: dict[Place, float], at: Place, *, beyond: bool) -> float:
    """Piecewise linear, one axis after the other; beyond the ends straight on, or level."""
    if not at:
        return next(iter(places.values()))
    by_first: dict[float, dict[Place, float]] = {}
    for place, value in places.items():
        by_first.setdefault(place[0], {})[place[1:]] = value
    known = sorted((x, _interpolated(rest, at[1:], beyond=beyond)) for x, rest in by_first.items())
    return _on_line(known, at[0], beyond=beyond)


def _on_line(known: list[tuple[float, float]], x: float, *, beyond: bool) -> float:
    if len(known) == 1 or (not beyond and not known[0][0] <= x <= known[-1][0]):
        return min(known, key=lambda point: abs(point[0] - x))[1]
    after = next((n for n, point in enumerate(known) if point[0] >= x), len(known) - 1)
    (x0, y0), (x1, y1) = known[max(1, after) - 1], known[max(1, after)]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
