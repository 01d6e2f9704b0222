"""Perplexity by the plainest loop over a transformers model: the same code for every toolkit, ours included."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 16


def perplexity(model: nn.Module, windows: Tensor) -> float:
    """exp(mean negative log-likelihood) over every place but the first of each window [N, length], in float32."""
    total = 0.0
    with torch.inference_mode():
        for batch in windows.split(BATCH):
            logits = model(input_ids=batch, use_cache=False).logits[:, :-1].float()  # [B, S-1, V]
            total += float(F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum"))
    return exp(min(total / windows[:, 1:].numel(), 700.0))
