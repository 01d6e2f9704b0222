"""How far a runtime's words are from those of torch with the same weights: quality is measured in torch."""

from __future__ import annotations

from math import sqrt

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Runtime
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from torch import Tensor

ROWS, TOKENS = 4, 64  # windows, and of each the first tokens


def divergence(runtime: Runtime, model: CompressedModel, windows: Tensor) -> tuple[float, float | None, int]:
    """KL(torch || runtime) of a token in nats, its standard error over windows, and the number of tokens.

    The runtime reads the first half as a prompt and the rest one by one, as it does when it writes.
    """
    ids = windows[:ROWS, :TOKENS]
    prompt = max(1, ids.shape[1] // 2)
    expected = TorchRuntime(model).logits(ids)[:, prompt - 1 :].log_softmax(-1)  # [B, P, V]
    runtime.start(*ids.shape)
    read = [runtime.feed(part) for part in (ids[:, :prompt], *ids[:, prompt:].split(1, dim=1)) if part.numel()]
    found = torch.stack(read, dim=1).log_softmax(-1)
    each = (expected.exp() * (expected - found)).sum(-1).mean(1)  # [B]
    error = float(each.std()) / sqrt(len(each)) if len(each) > 1 else None
    return max(0.0, float(each.mean())), error, found.shape[0] * found.shape[1]
