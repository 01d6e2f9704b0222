"""What a sensitivity table is made of: the settings that are tried, chosen for every method of the registry alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from compresslab.errors import BadInput
from compresslab.grids.affine import Affine
from compresslab.grids.registry import GRIDS
from compresslab.profiles.sensitivity_table import NOT_OF_A_MATRIX, PLACED
from compresslab.recipes.layerwise import GridQuantizer, LayerMethod, Pruner, Quantizer
from compresslab.recipes.method import Method

Values = dict[str, Any]
BITS, GROUPS = (2, 3, 4, 6), (32, 128, 0)
SPARSITIES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
PATTERNS = ("2:4", "4:8", "1:4")
MIDDLE: dict[str, Values] = {"quantize": {"bits": 3}, "prune": {"sparsity": 0.5}}
UNEVEN: dict[str, dict[str, Values]] = {  # blocks with settings of their own: damage must add up for them as well
    "quantize": {"*.1.*": {"bits": 2}, "*.2.*": {"bits": 6}},
    "prune": {"*.1.*": {"sparsity": 0.7}, "*.2.*": {"sparsity": 0.1}},
}
WHOLE: dict[str, tuple[Values, ...]] = {  # settings at which the whole model is measured
    "quantize": (
        *({"bits": bits} for bits in (2, 3, 4)),
        {"bits": 2, "group_size": 0},
        {"bits": 4, "overrides": UNEVEN["quantize"]},
    ),
    "prune": (
        *({"sparsity": share} for share in (0.15, 0.3, 0.4, 0.55, 0.7, 0.85)),
        {"n_of_m": "2:4"},
        {"sparsity": 0.4, "overrides": UNEVEN["prune"]},
    ),
}


@dataclass(frozen=True)
class Probes:
    columns: tuple[LayerMethod, ...]  # settings whose loss is taken for every matrix
    alone: tuple[LayerMethod, ...]  # one of each kind: every matrix is measured with only itself changed
    whole: tuple[LayerMethod, ...]  # measured on the whole model


def probes(methods: Iterable[type[Method]]) -> Probes:
    """For every method that treats matrices one by one."""
    wanted = [m for m in methods if issubclass(m, LayerMethod)]
    first = {m.kind: m for m in reversed(wanted)}
    return Probes(
        columns=tuple(step for method in wanted for step in _columns(method)),
        alone=tuple(_step(method, MIDDLE[kind]) for kind, method in first.items()),
        whole=tuple(step for method in wanted for step in _whole(method)),
    )


def _columns(method: type[LayerMethod]) -> Iterator[LayerMethod]:
    if issubclass(method, Quantizer):
        lowest = next(control.minimum for control in method.controls() if control.name == "bits") or 0
        for bits in (bits for bits in BITS if bits >= lowest):
            yield from (_step(method, {"bits": bits, "group_size": size}) for size in GROUPS)
        yield from (_step(method, {"bits": bits, "symmetric": False}) for bits in (2, 4) if bits >= lowest)
    if issubclass(method, GridQuantizer):
        for name, grid in GRIDS.items():
            if name != Affine.name:
                yield from (_step(method, {"grid": name, "bits": bits}) for bits in grid.widths)
    if issubclass(method, Pruner):
        yield from (_step(method, {"sparsity": share}) for share in SPARSITIES)
        yield from (_step(method, {"n_of_m": pattern}) for pattern in PATTERNS)
    for name, value in _other_choices(method):
        with suppress(BadInput):  # a choice that this method refuses
            yield _step(method, {**MIDDLE[method.kind], name: value})


def _whole(method: type[LayerMethod]) -> list[LayerMethod]:
    """Those settings that the method takes; its defaults where it has none of them."""
    found = []
    for settings in WHOLE[method.kind]:
        with suppress(BadInput):
            found.append(method.parse(settings, method.name))
    return found or [method()]


def _other_choices(method: type[LayerMethod]) -> Iterator[tuple[str, Any]]:
    """Every choice of a method that is not its default."""
    for control in method.controls():
        if control.name in PLACED | NOT_OF_A_MATRIX | {"symmetric", "grid"}:
            continue
        choices = (True, False) if control.kind == "flag" else control.choices
        yield from ((control.name, choice) for choice in choices if choice != control.default)


def _step(method: type[LayerMethod], settings: Values) -> LayerMethod:
    """With the tables of words and of outputs treated alike: their losses are wanted, too."""
    tables = dict.fromkeys(("embedding_bits", "head_bits"), settings.get("bits", 4))
    return method.parse(settings | (tables if issubclass(method, Quantizer) else {}), method.name)
