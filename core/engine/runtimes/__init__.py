"""What a compressed model runs in: torch, which takes every method; low-bit kernels of onnxruntime on the CPU, of
torchao on a GPU.

Same tokens in, logits out. Whoever generates or times works with a Runtime and knows neither of them by name.
"""

from __future__ import annotations

from typing import Literal, Protocol

from compresslab.errors import CompresslabError
from compresslab.messages import Message
from torch import Tensor

Form = Literal["bits", "dynamic_int8", "float32"]  # how a graph expresses the weights

LONG_PROMPT = 32  # tokens; of 16, int8 weights and inputs are no quicker than codes, of 64 half as quick again


class CannotExpress(CompresslabError):
    """A family, a recipe or a place that a runtime does not know; one sentence says which."""


class Runtime(Protocol):
    """A model that is ready to read and write."""

    @property
    def name(self) -> Literal["torch", "onnxruntime", "torchao"]: ...

    @property
    def kernel(self) -> Message:
        """In plain words: "MatMulNBits int4 group 64, int8 activations"."""

    @property
    def real(self) -> bool:
        """Whether the matmul that runs is the one that the format promises."""

    @property
    def reason(self) -> Message | None:
        """Why it is simulated, or what else a reader must know."""

    @property
    def weight_bytes(self) -> int:
        """That it holds in memory, all forms of them."""

    def start(self, batch: int, room: int) -> None:
        """A fresh KV cache of so many rows and tokens."""

    def feed(self, ids: Tensor) -> Tensor:
        """int64 [B, S] -> float32 [B, vocabulary]: added to the cache; logits after the last token."""

    def reorder(self, rows: Tensor) -> None:
        """int64 [B]: row i of the cache becomes what row rows[i] was."""

    def logits(self, ids: Tensor) -> Tensor:
        """int64 [B, S] -> float32 [B, S, vocabulary]; the cache is not touched."""
