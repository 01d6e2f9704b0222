"""How blocks become narrower: the counts that a model can take, and the rows and columns that go with a unit.

A unit is an MLP channel, or an attention head. Every block keeps equally many, so that config.json can say it and
plain transformers loads the result. The plan and the surgery both ask this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from compresslab.models.anatomy import QKV, Heads
from compresslab.models.facts import ModelFacts
from compresslab.models.weights import WeightPlan

Weights = Mapping[str, WeightPlan]


@dataclass(frozen=True)
class Widths:
    """Of every block of a model."""

    channels: int
    heads: Heads


@dataclass(frozen=True)
class Kept:
    """What stays of one block, in the order in which it stays."""

    channels: tuple[int, ...]
    queries: tuple[int, ...]
    keys: tuple[int, ...]  # key/value heads


@dataclass(frozen=True)
class Slice:
    """The entries of one tensor that stay: rows (dimension 0) or columns (1)."""

    name: str
    dimension: int
    indices: tuple[int, ...]


def widths_now(weights: Weights, facts: ModelFacts) -> Widths:
    """As the weights are, which may have become narrower since the checkpoint; every block has the same."""
    anatomy, dim = facts.anatomy, facts.heads.dim
    count = weights[anatomy.weight(0, anatomy.attention.output)].shape[1] // dim
    rows = sum(weights[anatomy.weight(0, name)].shape[0] for name in anatomy.attention.inputs)
    channels = weights[anatomy.weight(0, anatomy.mlp.output)].shape[1]
    return Widths(channels, Heads(count, (rows // dim - count) // 2, dim))


def fewer_channels(width: int, sparsity: float, multiple: int) -> int:
    """The multiple nearest to the share asked for; the very count where no multiple fits; one at the least."""
    if sparsity == 0:
        return width
    wanted = (1 - sparsity) * width
    rounded = round(wanted / multiple) * multiple
    return min(rounded, width) if rounded else max(1, round(wanted))


def fewer_heads(heads: Heads, sparsity: float, facts: ModelFacts) -> Heads:
    """The head counts nearest to the share asked for that leave every key/value head with equally many query heads.

    Either whole groups go (a key/value head with its query heads), or as many query heads of each group. Of two that
    are equally near, the one that removes less; of two with equally many, the groups: that cache is smaller too.
    """
    groups = [replace(heads, count=n * heads.shared_by, kv_count=n) for n in range(1, heads.kv_count + 1)]
    shares = [replace(heads, count=n * heads.kv_count) for n in range(1, heads.shared_by)]
    loads = [found for found in (*groups, *shares) if _loads(found, facts)]
    wanted = (1 - sparsity) * heads.count
    return min(loads, key=lambda found: (abs(found.count - wanted), -found.count, found.kv_count), default=heads)


def _loads(heads: Heads, facts: ModelFacts) -> bool:
    """Whether plain transformers takes that many heads beside the hidden size, which stays."""
    count = facts.anatomy.head_count
    return count == "free" or (count == "divisors" and facts.hidden_size % heads.count == 0)


def slices(weights: Weights, facts: ModelFacts, layer: int, kept: Kept) -> Iterator[Slice]:
    """Every row and column that stays of one block's tensors, biases among them."""
    widths = widths_now(weights, facts)
    if len(kept.queries) < widths.heads.count:
        yield from _attention_slices(weights, facts, layer, kept, widths.heads)
    if len(kept.channels) < widths.channels:
        yield from _mlp_slices(weights, facts, layer, kept, widths.channels)


def _attention_slices(weights: Weights, facts: ModelFacts, layer: int, kept: Kept, heads: Heads) -> Iterator[Slice]:
    attention = facts.anatomy.attention
    rows: dict[str, list[int]] = {name: [] for name in attention.inputs}
    for part in QKV:
        for head in kept.queries if part == "q" else kept.keys:
            name, span = attention.rows(part, head, heads)
            rows[name] += span
    yield from _rows(weights, facts, layer, rows)
    columns = [column for head in kept.queries for column in range(head * heads.dim, (head + 1) * heads.dim)]
    yield Slice(facts.anatomy.weight(layer, attention.output), 1, tuple(columns))


def _mlp_slices(weights: Weights, facts: ModelFacts, layer: int, kept: Kept, width: int) -> Iterator[Slice]:
    mlp = facts.anatomy.mlp
    rows: dict[str, list[int]] = {name: [] for name in mlp.inputs}
    for part in ("gate", "up") if mlp.gate else ("up",):
        name, span = mlp.rows(part, width)
        rows[name] += [span[channel] for channel in kept.channels]
    yield from _rows(weights, facts, layer, rows)
    yield Slice(facts.anatomy.weight(layer, mlp.output), 1, kept.channels)


def _rows(weights: Weights, facts: ModelFacts, layer: int, rows: dict[str, list[int]]) -> Iterator[Slice]:
    for name, indices in rows.items():
        weight = facts.anatomy.weight(layer, name)
        for tensor in (weight, f"{weight.removesuffix('weight')}bias"):
            if tensor in weights:
                yield Slice(tensor, 0, tuple(indices))


def narrowed(weight: WeightPlan, cut: Slice) -> WeightPlan:
    """The plan of a weight of which only these rows or columns stay; which of its zeros stay is not known before."""
    shape = tuple(len(cut.indices) if n == cut.dimension else size for n, size in enumerate(weight.shape))
    after = replace(weight, shape=shape)
    if weight.nonzero is None:
        return after
    return replace(after, nonzero=round(weight.nonzero * after.count / weight.count), exact=False)


def foreseen(weights: Iterable[WeightPlan], facts: ModelFacts, widths: Widths) -> tuple[WeightPlan, ...]:
    """The weights once every block has these widths."""
    plans = {weight.name: weight for weight in weights}
    kept = Kept(tuple(range(widths.channels)), tuple(range(widths.heads.count)), tuple(range(widths.heads.kv_count)))
    before = dict(plans)
    for layer in sorted({weight.layer for weight in before.values() if weight.layer is not None}):
        for cut in slices(before, facts, layer, kept):
            plans[cut.name] = narrowed(plans[cut.name], cut)
    return tuple(plans.values())


def config_changes(facts: ModelFacts, before: Widths, after: Widths) -> dict[str, Any]:
    """What config.json must say of the new widths."""
    keys, changes = facts.anatomy.keys, dict[str, Any]()
    if after.channels != before.channels and keys.mlp_width is not None:
        changes[keys.mlp_width] = after.channels
    if after.heads != before.heads:
        named = {keys.heads: after.heads.count, keys.kv_heads: after.heads.kv_count, keys.head_dim: after.heads.dim}
        changes |= {key: value for key, value in named.items() if key is not None}
    return changes


def first_layers(weights: tuple[WeightPlan, ...], count: int) -> tuple[WeightPlan, ...]:
    """The weights of a model of which that many blocks stay; not exact where the blocks differ from each other."""
    kept = [w for w in weights if w.layer is None or w.layer < count]
    first = {_within(w): w for w in weights if w.layer == 0}
    alike = all(w == replace(first[_within(w)], name=w.name, layer=w.layer) for w in weights if w.layer is not None)
    return tuple(w if alike or w.layer is None else replace(w, exact=False) for w in kept)


def _within(weight: WeightPlan) -> str:
    """The name as it is relative to the block."""
    return weight.name.rpartition(f".{weight.layer}.")[2]
