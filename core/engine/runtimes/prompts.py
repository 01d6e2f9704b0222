"""Whether prompts are better read in a second form of a low-bit model, with int8 weights and inputs.

Low-bit kernels save bytes, which decide how fast a model writes. It reads many tokens at once, and then arithmetic
decides: there int8 is quicker, at the price of one more copy of the weights.
"""

from __future__ import annotations

import time
from statistics import median

import psutil
import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Runtime
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from torch import Tensor

TOKENS, ROUNDS = 64, 3
CLEARLY = 1.1  # it must be this much faster, or the memory is better spent on something else
FARTHEST = 0.05  # root mean square of what the logits change by, over their own
BYTES_A_WEIGHT = 2  # the codes, and what the kernel packs of them
SHARE_OF_MEMORY = 0.25  # of what is free, that the second form may take


def has_room(model: CompressedModel) -> bool:
    """Whether a second form fits well into what memory is free."""
    need = BYTES_A_WEIGHT * sum(weight.count for weight in model.weights.values())
    return need <= SHARE_OF_MEMORY * psutil.virtual_memory().available


def is_faster(other: Runtime, runtime: Runtime, model: CompressedModel) -> bool:
    """In a short trial, the two taking turns, after a round that is not counted."""
    ids = _prompt(model)
    laps = [(_seconds(other, ids), _seconds(runtime, ids)) for _ in range(ROUNDS + 1)][1:]
    return median(slow / quick for quick, slow in laps) >= CLEARLY


def is_near(other: Runtime, model: CompressedModel) -> bool:
    """Whether its logits are those of torch with the same weights, as nearly as int8 inputs leave them elsewhere."""
    ids = _prompt(model)
    expected = TorchRuntime(model).logits(ids)
    return float((other.logits(ids) - expected).norm() / expected.norm()) <= FARTHEST


def _prompt(model: CompressedModel) -> Tensor:
    """int64 [1, S]: tokens from all over the vocabulary, the same every time."""
    count = min(TOKENS, model.context_length)
    return torch.randint(model.facts.vocab_size, (1, count), generator=torch.Generator().manual_seed(0))


def _seconds(runtime: Runtime, ids: Tensor) -> float:
    runtime.start(1, ids.shape[1])
    begun = time.perf_counter()
    runtime.feed(ids)
    return time.perf_counter() - begun
