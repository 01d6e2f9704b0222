"""How far a runtime's words are from those of torch with the same weights: quality is measured in torch."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from core.engine.model import CompressedModel
from core.engine.runtimes import Runtime
from core.engine.runtimes.torch_runtime import TorchRuntime

ROWS, TOKENS = 4, 64  # windows, and of each the first tokens


def divergence(runtime: Runtime, model: CompressedModel, windows: Tensor) -> tuple[float, float | None, int]:
    """KL(torch || runtime) of a token in nats, its standard error over windows, and the number of tokens.

    The runtime reads them one by one, as it does when it writes.
    """
    ids = windows[:ROWS, :TOKENS]
    expected = TorchRuntime(model).logits(ids).log_softmax(-1)  # [B, S, V]
    runtime.start(*ids.shape)
    found = torch.stack([runtime.feed(ids[:, place : place + 1]) for place in range(ids.shape[1])], dim=1)
    each = (expected.exp() * (expected - found.log_softmax(-1))).sum(-1).mean(1)  # [B]
    error = float(each.std()) / sqrt(len(each)) if len(each) > 1 else None
    return max(0.0, float(each.mean())), error, ids.numel()
