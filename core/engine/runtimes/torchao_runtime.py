"""Low-bit weights on a GPU: torchao's weight-only kernels in bfloat16, decoding compiled over a static cache.

torchao rounds the weights to grids of its own: its words differ a little from those that quality is measured of, and a
run says how much (see `fidelity`).
"""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Any, Literal

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import CannotExpress
from compresslab.messages import Message
from torch import Tensor
from transformers import StaticCache

Kernel = Literal["int4", "int8", "float8"]
ROOM = 256  # the cache grows in such steps, or every length would be compiled anew
INT4_GROUP = 128
FLOAT8_SINCE = (8, 9)  # compute capability
ROUNDED_AGAIN = Message("torchao.rounds")


def candidates(model: CompressedModel) -> list[Kernel]:
    """Kernels as wide as the codes, on this device. Raises CannotExpress where there are none, with the reason."""
    if model.device.type != "cuda":
        raise CannotExpress("torchao.needs_cuda", device=model.device.type)
    if find_spec("torchao") is None:
        raise CannotExpress("torchao.not_installed")
    grids = [plan.grid for plan in model.layout() if plan.role == "linear"]
    if None in grids or not grids:
        raise CannotExpress("torchao.not_all_quantized")
    if any(plan.activation_bits is not None for plan in model.weights.values()):
        raise CannotExpress("torchao.rounded_inputs")
    if max(grid.bits for grid in grids if grid is not None) <= 4:
        return ["int4"]
    capable = torch.cuda.get_device_capability(model.device) >= FLOAT8_SINCE
    return ["int8", "float8"] if capable else ["int8"]


class TorchaoRuntime:
    """The module once more, in bfloat16, its linear layers in torchao's form."""

    name: Literal["torchao"] = "torchao"
    real = True
    reason = ROUNDED_AGAIN

    def __init__(self, model: CompressedModel, kernel: Kernel, *, compiled: bool = True) -> None:
        from torchao.quantization import quantize_

        self._device = model.device
        module: Any = model.module
        self._module = copy.deepcopy(module).to(torch.bfloat16)
        quantize_(self._module, _config(kernel))
        forward = self._module.forward
        self._step = torch.compile(forward, mode="reduce-overhead", fullgraph=True) if compiled else forward
        self._cache: Any = None
        self._room, self._batch, self._past = 0, 0, 0
        self.weight_bytes = sum(_held(parameter) for parameter in self._module.parameters())
        self.kernel = Message("kernel.torchao", kernel=kernel)

    def start(self, batch: int, room: int) -> None:
        """An empty cache; that of the last time where it is as large."""
        room = -(-room // ROOM) * ROOM
        if (batch, room) == (self._batch, self._room):
            with torch.inference_mode():  # as what it holds was made
                self._cache.reset()
        else:
            self._cache = StaticCache(config=self._module.config, max_cache_len=room)
        self._batch, self._room, self._past = batch, room, 0

    def feed(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, vocabulary]; one token goes through the compiled step."""
        ids = ids.to(self._device)
        places = torch.arange(self._past, self._past + ids.shape[1], device=self._device).expand(len(ids), -1)
        self._past += ids.shape[1]
        forward = self._step if ids.shape[1] == 1 else self._module
        with torch.inference_mode():
            output = forward(
                input_ids=ids, position_ids=places, past_key_values=self._cache, use_cache=True, logits_to_keep=1
            )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def reorder(self, rows: Tensor) -> None:
        with torch.inference_mode():
            self._cache.reorder_cache(rows.to(self._device))

    def logits(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, S, vocabulary], nothing kept."""
        with torch.inference_mode():
            found: Tensor = self._module(input_ids=ids.to(self._device), use_cache=False).logits
        return found.float()


def _held(parameter: Any) -> int:
    """Bytes of a tensor; torchao's own kinds are made of several."""
    if not hasattr(parameter, "__tensor_flatten__"):
        return int(parameter.nbytes)
    return sum(_held(getattr(parameter, name)) for name in parameter.__tensor_flatten__()[0])


def _config(kernel: Kernel) -> Any:
    from torchao.quantization import Float8WeightOnlyConfig, Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if kernel == "int4":
        return Int4WeightOnlyConfig(group_size=INT4_GROUP, int4_packing_format="tile_packed_to_4d")
    return Int8WeightOnlyConfig() if kernel == "int8" else Float8WeightOnlyConfig()
