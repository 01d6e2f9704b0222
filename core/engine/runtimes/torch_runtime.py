"""The reference runtime: the torch module itself, every family, method and device."""

from __future__ import annotations

from typing import Any, Literal

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.messages import Message
from torch import Tensor
from transformers import DynamicCache

SIMULATED_BITS = Message("runtime.simulated")


class TorchRuntime:
    """Token ids in, float32 logits out; the KV cache grows with every token."""

    name: Literal["torch"] = "torch"

    def __init__(self, model: CompressedModel) -> None:
        self._model = model
        self._cache: Any = None

    @property
    def kernel(self) -> Message:
        return Message("kernel.dense", dtype=str(self._model.dtype).removeprefix("torch."))

    @property
    def weight_bytes(self) -> int:
        return self._model.memory_bytes

    @property
    def real(self) -> bool:
        return self.reason is None

    @property
    def reason(self) -> Message | None:
        """Why the kernel is simulated; None where it is real."""
        if self._model.kernel == "real":
            return None
        if any(plan.grid for plan in self._model.layout()):
            return SIMULATED_BITS
        return Message("runtime.zeros", device="CPU" if self._model.device.type == "cpu" else "GPU")

    def start(self, batch: int, room: int) -> None:
        """A fresh cache; it takes as many rows and tokens as come."""
        self._cache = DynamicCache(config=self._model.module.config)

    def feed(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, vocabulary]: logits after the last of these tokens."""
        with torch.inference_mode():
            output = self._model.module(
                input_ids=ids.to(self._model.device), past_key_values=self._cache, use_cache=True, logits_to_keep=1
            )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def reorder(self, rows: Tensor) -> None:
        self._cache.reorder_cache(rows)

    def logits(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, S, vocabulary], nothing kept."""
        with torch.inference_mode():
            found: Tensor = self._model.module(input_ids=ids.to(self._model.device), use_cache=False).logits
        return found.float()
