"""Scales of input channels, moved from what is multiplied to what comes before: the model computes the same function.

A matrix W reads x. With s > 0 per channel, (W diag(s)) (x / s) = W x; the division by s is taken over by what makes x:
- a norm, whose weight and bias are divided (SmoothQuant, arXiv:2211.10438, section 4; AWQ, arXiv:2306.00978, 3.2);
- for the attention's output the rows of v: a weighted mean over tokens leaves channels apart;
- for the MLP's output the rows of up, where up meets the gate after the activation, or where the activation is ReLU.
Rows that are on a grid already take the division in their scales: the codes stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from compresslab.engine.job import Job
from compresslab.engine.models.model import STORAGE, CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.models.anatomy import Norm
from compresslab.models.narrowing import widths_now
from torch import Tensor


@dataclass(frozen=True)
class Divided:
    """What makes the channels, divided."""

    scales: Tensor  # [d], that took effect: they differ from those asked for where a norm is stored in few bits
    changed: dict[str, Tensor | QuantizedWeight]  # weights by name


@dataclass(frozen=True)
class Fold:
    """Matrices that read the same channels, and what makes these: a norm, or rows of one matrix."""

    readers: tuple[str, ...]
    writer: str  # the weight of the norm, or a matrix
    norm: Norm | None
    rows: tuple[int, ...]  # of the writer, channel 0 first
    heads_sharing: int = 1  # query heads that read the same rows of v, one after the other
    head_dim: int = 0

    @property
    def bias(self) -> str:
        return f"{self.writer.removesuffix('weight')}bias"

    def tensors(self, model: CompressedModel) -> list[str]:
        """What changes beside the readers."""
        return [name for name in (self.writer, self.bias) if name in model.weights]

    def allowed(self, scales: Tensor) -> Tensor:
        """The nearest scales [d] that can be moved: query heads that share a row of v have their geometric mean."""
        return self._per_reader(self._per_row(scales.log())).exp()

    def _per_row(self, channels: Tensor) -> Tensor:
        """[d] -> [rows], the mean of all channels that read one row."""
        if self.heads_sharing == 1:
            return channels
        return channels.view(-1, self.heads_sharing, self.head_dim).mean(1).flatten()

    def _per_reader(self, rows: Tensor) -> Tensor:
        """[rows] -> [d]."""
        if self.heads_sharing == 1:
            return rows
        return rows.view(-1, 1, self.head_dim).expand(-1, self.heads_sharing, -1).flatten()

    def divided(self, model: CompressedModel, scales: Tensor) -> Divided:
        """What the readers read, divided by `scales` [d], which are allowed ones. The model stays as it is."""
        if self.norm is not None:
            return self._divided_norm(model, self.norm, scales)
        rows = self._per_row(scales.log()).exp()
        changed = {name: _divided_rows(model, name, self.rows, rows) for name in self.tensors(model)}
        return Divided(self._per_reader(rows), changed)

    def _divided_norm(self, model: CompressedModel, norm: Norm, scales: Tensor) -> Divided:
        one = 1.0 if norm.kind == "rms_plus_one" else 0.0
        before = model.weight(self.writer)
        stored = ((before + one) / scales - one).to(STORAGE[model.weights[self.writer].dtype])
        after = stored.float() + one
        usable = after != 0
        taken = torch.where(usable, (before + one) / torch.where(usable, after, 1.0), 1.0)
        usable = taken > 0  # a channel that the norm switches off is left as it is
        changed: dict[str, Tensor | QuantizedWeight] = {self.writer: torch.where(usable, stored.float(), before)}
        taken = torch.where(usable, taken, 1.0)
        if self.bias in model.weights:
            changed[self.bias] = model.weight(self.bias) / taken
        return Divided(taken, changed)


def folds(model: CompressedModel) -> Iterator[Fold]:
    """Every fold that the family allows, in forward order."""
    for layer in range(model.depth):
        yield from _before_attention_and_mlp(model, layer)
        yield _values_to_output(model, layer)
        if _passes_scales(model):
            yield _up_to_output(model, layer)


class Folds:
    """The folds of which every matrix may be changed."""

    def __init__(self, model: CompressedModel, chosen: Collection[str]) -> None:
        self._model = model
        self._by_reader = {
            reader: fold
            for fold in folds(model)
            if set(fold.readers) <= set(chosen) and (fold.norm is not None or fold.writer in chosen)
            for reader in fold.readers
        }

    def of_group(self, names: Sequence[str]) -> Fold | None:
        """The fold whose readers these are, all of them; None where there is none."""
        fold = self._by_reader.get(names[0])
        return fold if fold is not None and set(fold.readers) == set(names) else None

    def tensors(self, names: Sequence[str]) -> list[str]:
        """What changes beside these readers."""
        fold = self.of_group(names)
        return [] if fold is None else fold.tensors(self._model)

    def tell(self, chosen: Iterable[str], job: Job) -> None:
        """Write into the record which matrices are treated without scales, and why."""
        weights = self._model.weights
        plain = [name for name in chosen if name not in self._by_reader and weights[name].role == "linear"]
        if not plain:
            return
        kinds = sorted({name.rpartition(f".{weights[name].layer}.")[2].removesuffix(".weight") for name in plain})
        job.remember("scaling.none_moved", kinds=kinds, family=self._model.facts.family)


def _before_attention_and_mlp(model: CompressedModel, layer: int) -> Iterator[Fold]:
    anatomy = model.facts.anatomy
    readers: dict[Norm, list[str]] = {}
    for part in (anatomy.attention, anatomy.mlp):
        if part.norm is not None:
            readers.setdefault(part.norm, []).extend(anatomy.weight(layer, name) for name in part.inputs)
    for norm, names in readers.items():
        writer = anatomy.weight(layer, norm.name)
        if writer in model.weights:  # a norm without a weight can take over no scale
            yield Fold(tuple(names), writer, norm, tuple(range(model.weights[writer].shape[0])))


def _values_to_output(model: CompressedModel, layer: int) -> Fold:
    attention, heads = model.facts.anatomy.attention, widths_now(model.weights, model.facts).heads
    spans = [attention.rows("v", head, heads) for head in range(heads.kv_count)]
    return Fold(
        (model.facts.anatomy.weight(layer, attention.output),),
        model.facts.anatomy.weight(layer, spans[0][0]),
        None,
        tuple(row for _, span in spans for row in span),
        heads.shared_by,
        heads.dim,
    )


def _up_to_output(model: CompressedModel, layer: int) -> Fold:
    anatomy = model.facts.anatomy
    writer, rows = anatomy.mlp.rows("up", widths_now(model.weights, model.facts).channels)
    return Fold((anatomy.weight(layer, anatomy.mlp.output),), anatomy.weight(layer, writer), None, tuple(rows))


def _passes_scales(model: CompressedModel) -> bool:
    """Whether a positive factor on a row of up comes out of the activation as the same factor."""
    return model.facts.anatomy.mlp.gate is not None or model.facts.activation == "relu"


def _divided_rows(model: CompressedModel, name: str, rows: tuple[int, ...], by: Tensor) -> Tensor | QuantizedWeight:
    """Rows of a matrix, or entries of its bias."""
    stored = model.stored[name]
    whole = torch.ones(len(model.weight(name)), device=by.device).index_copy_(0, torch.tensor(rows).to(by.device), by)
    if isinstance(stored, QuantizedWeight):
        return stored.rescaled(stored.scales / whole.unsqueeze(1))
    value = model.weight(name)
    return value / whole.view(-1, *[1] * (value.ndim - 1))
