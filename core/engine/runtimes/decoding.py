"""How runtimes write: transformers' own `generate` for all of them, and the greedy steps that a timing takes."""

from __future__ import annotations

from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Runtime
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class Greedy:
    """A runtime that has read a prompt [1, S], and says token after token, the likeliest each time."""

    def __init__(self, runtime: Runtime, prompt: Tensor, new_tokens: int) -> None:
        self._runtime = runtime
        runtime.start(len(prompt), prompt.shape[1] + new_tokens)
        self._say(prompt)

    def next(self) -> None:
        """One token more."""
        self._say(self._token)

    def _say(self, ids: Tensor) -> None:
        self._token = self._runtime.feed(ids).argmax(-1, keepdim=True)


class RuntimeCache:
    """Stands for a runtime's KV cache where `generate` keeps one."""

    is_compileable = False

    def __init__(self, runtime: Runtime, room: int) -> None:
        self._runtime, self._room, self._length = runtime, room, 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._length

    def reorder_cache(self, rows: Tensor) -> None:
        self._runtime.reorder(rows)

    def feed(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, vocabulary]; the first tokens begin a cache of so many rows."""
        if not self._length:
            self._runtime.start(len(ids), self._room)
        self._length += ids.shape[1]
        return self._runtime.feed(ids)


class RuntimeWriter(GenerationMixin):
    """What `generate` needs of a model; the logits come from the cache's runtime.

    So greedy, sampling and beam search choose tokens with the very code and random numbers that a torch module uses.
    """

    main_input_name = "input_ids"
    _is_stateful = False

    def __init__(self, module: PreTrainedModel) -> None:
        self.config, self.generation_config = module.config, module.generation_config
        self.device, self.dtype = module.device, torch.float32

    @classmethod
    def can_generate(cls) -> bool:
        return True

    def get_experts_implementation(self) -> dict[str, str]:
        return {}

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: RuntimeCache | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        new = input_ids if next_sequence_length is None else input_ids[:, -next_sequence_length:]
        return {"input_ids": new, "past_key_values": past_key_values}

    def forward(
        self, input_ids: Tensor, past_key_values: RuntimeCache, attention_mask: Tensor | None = None, **_: Any
    ) -> CausalLMOutputWithPast:
        """Prompts are never padded: the mask is all ones, and left out."""
        logits = past_key_values.feed(input_ids).unsqueeze(1)
        cache: Any = past_key_values
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache)

    __call__ = forward


def writer_of(model: CompressedModel, runtime: Runtime, room: int) -> tuple[Any, RuntimeCache | None]:
    """What has `generate`, and the cache to hand it: the module itself needs none."""
    if runtime.name == "torch":
        return model.module, None
    return RuntimeWriter(model.module), RuntimeCache(runtime, room)
