"""Taking channels and heads out of every block. What a unit is worth is written in `methods.prune_channels`.

While it goes on, what a removed unit reads as is zero columns of an output matrix, so that sequential statistics see
what is gone; the shapes change once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from compresslab.engine.inputs.calibration import InputStatistics
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.sites import Site, sites
from compresslab.engine.steps.unit_scores import energies, first_order, norm_products, worst_first
from compresslab.errors import BadInput
from compresslab.models.narrowing import Kept, Widths, config_changes, slices, widths_now
from torch import Tensor

Importance = Literal["reconstruction", "activation", "taylor", "magnitude"]


@dataclass(frozen=True)
class Choice:
    """How the units that go are found, and whether the others take over what they did."""

    importance: Importance
    repair: bool
    dampening: float

    @property
    def needs_statistics(self) -> bool:
        return self.repair or self.importance in ("reconstruction", "activation")


def narrow(model: CompressedModel, settings: Choice, after: Widths, context: StepContext) -> None:
    """Give every block these widths. Raises BadInput for a quantized model, Cancelled."""
    before = widths_now(model.weights, model.facts)
    _tell(before, after, context)
    places = {site.weight: site for site in sites(model, before, after)}
    if any(isinstance(model.stored[name], QuantizedWeight) for name in model.linear_names()):
        raise BadInput("channels.quantized")
    if not places:
        return
    taylor = settings.importance == "taylor"
    slopes = first_order(model, list(places.values()), context) if taylor else {}
    chosen: dict[str, Tensor] = {}
    for name, statistics in _visits(model, list(places), settings, context):
        site = places[name]
        chosen[name] = _chosen(model, site, settings, statistics, slopes.get(name))
        _cut_columns(model, site, chosen[name], settings, statistics, context)
    kept = [_kept(layer, chosen, places, before, after) for layer in range(model.depth)]
    cuts = [cut for layer, left in enumerate(kept) for cut in slices(model.weights, model.facts, layer, left)]
    model.narrow(cuts, config_changes(model.facts, before, after))


def _tell(before: Widths, after: Widths, context: StepContext) -> None:
    context.job.remember(
        "channels.kept",
        channels=after.channels,
        all_channels=before.channels,
        heads=after.heads.count,
        all_heads=before.heads.count,
    )


def _visits(
    model: CompressedModel, names: list[str], settings: Choice, context: StepContext
) -> Iterator[tuple[str, InputStatistics | None]]:
    """The matrices in forward order, with the statistics of their inputs where those are needed."""
    if not settings.needs_statistics:
        yield from ((name, None) for name in context.each(names))
        return
    for group, statistics in context.with_statistics(model, names):
        yield from ((name, statistics) for name in group)


def _chosen(
    model: CompressedModel,
    site: Site,
    settings: Choice,
    statistics: InputStatistics | None,
    slopes: Tensor | None,
) -> Tensor:
    """The units that stay: int64, ascending."""
    if slopes is not None:
        return site.best(slopes)
    if settings.importance == "magnitude" or statistics is None:
        return site.best(norm_products(model, site))
    W, H = model.weight(site.weight), moments(model, site, statistics)
    if settings.importance == "activation":
        return site.best(energies(W, H, site))
    return worst_first(W, _dampened(H, settings.dampening), site)


def moments(model: CompressedModel, site: Site, statistics: InputStatistics) -> Tensor:
    """What a removed input costs: second moments, and where a bias takes over the mean, the covariance: [d, d]."""
    if site.bias not in model.weights:
        return statistics.hessian
    return statistics.hessian - statistics.mean.outer(statistics.mean)


def _dampened(H: Tensor, dampening: float) -> Tensor:
    extra = dampening * H.diagonal().mean().clamp(min=torch.finfo(H.dtype).tiny)
    return H + extra * torch.eye(len(H), device=H.device)


def _cut_columns(
    model: CompressedModel,
    site: Site,
    units: Tensor,
    settings: Choice,
    statistics: InputStatistics | None,
    context: StepContext,
) -> None:
    """Zero the columns of the units that go, and mend the others where that is asked for."""
    before = model.weight(site.weight)
    kept = site.columns(units).to(before.device)
    after = torch.zeros_like(before).index_copy_(1, kept, before[:, kept])
    new = {site.weight: after}
    if settings.repair and statistics is not None:
        H = moments(model, site, statistics)
        mended = _mended(before, H, kept, settings.dampening)
        if mended is None:
            context.job.notice("channels.not_mended", weight=site.weight)
        elif not _is_worse(mended, after, before, H, model.masks.get(site.weight)):
            new[site.weight] = mended
        if site.bias in model.weights:
            new[site.bias] = model.weight(site.bias) + (before - new[site.weight]) @ statistics.mean
    model.settle(new)


def _mended(W: Tensor, H: Tensor, kept: Tensor, dampening: float) -> Tensor | None:
    """The kept columns after least squares, zero elsewhere: [r, d]. None where H has no factor, dampened as it is."""
    gone = torch.ones(W.shape[1], dtype=torch.bool, device=W.device).index_fill_(0, kept, False).nonzero().flatten()
    lower, failed = torch.linalg.cholesky_ex(_dampened(H[kept][:, kept], dampening))
    if int(failed):
        return None
    taken_over = torch.cholesky_solve(H[kept][:, gone] @ W[:, gone].T, lower).T  # [r, kept]
    return torch.zeros_like(W).index_copy_(1, kept, W[:, kept] + taken_over)


def _is_worse(mended: Tensor, unmended: Tensor, before: Tensor, H: Tensor, mask: Tensor | None) -> bool:
    """Whether mending, of which zeros take a part away again, is worse than leaving it: by E |W x - W' x|^2."""
    if mask is None:
        return False
    changes = before - mended.masked_fill(mask, 0), before - unmended
    mended_loss, unmended_loss = (float(((change @ H) * change).sum()) for change in changes)
    return mended_loss > unmended_loss


def _kept(layer: int, chosen: dict[str, Tensor], places: dict[str, Site], before: Widths, after: Widths) -> Kept:
    channels, queries = tuple(range(before.channels)), tuple(range(before.heads.count))
    keys = tuple(range(before.heads.kv_count))
    for name, units in chosen.items():
        site = places[name]
        if site.layer != layer:
            continue
        if site.is_mlp:
            channels = tuple(units.tolist())
        elif after.heads.kv_count < before.heads.kv_count:
            keys, each = tuple(units.tolist()), before.heads.shared_by
            queries = tuple(head for key in keys for head in range(key * each, (key + 1) * each))
        else:
            queries = tuple(units.tolist())
    return Kept(channels, queries, keys)
