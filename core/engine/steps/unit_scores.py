"""What channels and heads are worth, as written in `methods.prune_channels`. Higher is worth more: [units]."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from compresslab.engine.inputs.calibration import BATCH_TOKENS
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.sites import Site
from compresslab.models.narrowing import widths_now
from torch import Tensor

SLOPE_SAMPLES = 128  # sequences that first-order importance is taken on
ROUNDS = 16  # of removals in `worst_first` at the most; more were no better on the bundled model at 30, 50 and 70 %


def norm_products(model: CompressedModel, site: Site) -> Tensor:
    """Norms of the rows that write a unit, times the norm of the columns that read it."""
    columns = model.weight(site.weight).view(-1, site.units, site.size)
    worth = columns.square().sum((0, 2)).sqrt()
    for writer in _writers(model, site):
        worth = worth * writer
    return worth


def _writers(model: CompressedModel, site: Site) -> list[Tensor]:
    """Norms of gate and up for a channel, of the values for a head: each [units]."""
    anatomy, widths = model.facts.anatomy, widths_now(model.weights, model.facts)

    def norms(name: str, rows: range) -> Tensor:
        return model.weight(anatomy.weight(site.layer, name))[rows.start : rows.stop].norm(dim=1)

    if site.is_mlp:
        spans = (anatomy.mlp.rows("up", widths.channels), anatomy.mlp.rows("gate", widths.channels))
        return [norms(name, rows) for name, rows in (spans if anatomy.mlp.gate else spans[:1])]
    heads = widths.heads
    values = [anatomy.attention.rows("v", key, heads) for key in range(heads.kv_count)]
    each = torch.stack([norms(name, rows).norm() for name, rows in values])  # [kv heads]
    return [each.repeat_interleave(site.units // heads.kv_count)]


def energies(W: Tensor, H: Tensor, site: Site) -> Tensor:
    """E |W_u x_u|^2 = tr(W_u H_uu W_u^T)."""
    if site.size == 1:
        return W.square().sum(0) * H.diagonal()
    columns = W.view(-1, site.units, site.size).transpose(0, 1)  # [units, r, size]
    return ((columns @ _own_blocks(H, site)) * columns).sum((1, 2))


def _own_blocks(H: Tensor, site: Site) -> Tensor:
    """H_uu of every unit: [units, size, size]."""
    blocks = H.view(site.units, site.size, site.units, site.size)
    return blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def worst_first(W: Tensor, H: Tensor, site: Site) -> Tensor:
    """The units that stay when the least are removed round after round: int64, ascending.

    After each round the others have taken over what they can, and the inverse is that of what is left.
    """
    W, P = W.clone(), torch.linalg.inv(H)
    there = torch.ones(site.units, dtype=torch.bool, device=W.device)
    while (excess := int(there.sum()) - site.groups * site.keep) > 0:
        at_once = ceil((site.units - site.groups * site.keep) / ROUNDS)
        spare = there.view(site.groups, -1).sum(1, keepdim=True) > site.keep  # [groups, 1]
        open_ = there & spare.expand(-1, site.units // site.groups).flatten()
        losses = _removal_losses(W, P, site).masked_fill(~open_, torch.inf)
        most = 1 if site.groups > 1 else min(at_once, excess)  # a group must not lose more than it may
        gone = losses.topk(most, largest=False).indices
        there[gone] = False
        _remove(W, P, site.columns(gone))
    return there.nonzero().flatten()


def _removal_losses(W: Tensor, P: Tensor, site: Site) -> Tensor:
    """tr(W_u P_uu^-1 W_u^T) of every unit: what its removal costs after the others have done their best."""
    if site.size == 1:
        return W.square().sum(0) / P.diagonal().clamp(min=torch.finfo(P.dtype).tiny)
    columns = W.view(-1, site.units, site.size).transpose(0, 1)  # [units, r, size]
    own = _own_blocks(P, site)
    gone = own.diagonal(dim1=1, dim2=2).sum(1) == 0
    own = torch.where(gone[:, None, None], torch.eye(site.size, device=P.device), own)
    return (torch.linalg.solve(own, columns.transpose(1, 2)) * columns.transpose(1, 2)).sum((1, 2))


def _remove(W: Tensor, P: Tensor, columns: Tensor) -> None:
    """Take these inputs out of weights and inverse, in place."""
    solved = torch.linalg.solve(P[columns][:, columns], P[columns])  # [gone, d]
    W -= W[:, columns] @ solved
    P -= P[:, columns] @ solved
    W[:, columns] = 0
    P[columns] = 0
    P[:, columns] = 0


def first_order(model: CompressedModel, sites: list[Site], context: StepContext) -> dict[str, Tensor]:
    """Sum over sequences of |x_u . dL/dx_u|, L the summed loss of a sequence. Raises Cancelled."""
    sequences = context.calibration()[:SLOPE_SAMPLES]
    slopes = {site.weight: torch.zeros(site.units, device=model.device) for site in sites}

    def watch(site: Site) -> Callable[..., None]:
        def hook(_module: Any, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0]

            def add(gradient: Tensor) -> None:
                product = (x.detach() * gradient).float().view(count, -1, site.units, site.size)
                slopes[site.weight] += product.sum((1, 3)).abs().sum(0)

            x.register_hook(add)

        return hook

    batches = sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))
    with ExitStack() as stack:
        for site in sites:
            module = model.module.get_submodule(site.weight.removesuffix(".weight"))
            stack.callback(module.register_forward_pre_hook(watch(site)).remove)
        embedding = model.module.get_input_embeddings()
        stack.callback(embedding.register_forward_hook(lambda _m, _i, output: output.requires_grad_()).remove)
        for done, batch in enumerate(batches):
            context.tell(done / len(batches))
            count = len(batch)
            _summed_loss(model, batch.to(model.device)).backward()
    return slopes


def _summed_loss(model: CompressedModel, batch: Tensor) -> Tensor:
    with torch.enable_grad():
        logits = model.module(input_ids=batch, use_cache=False).logits[:, :-1].float()
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum")
