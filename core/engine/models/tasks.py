"""What a forward pass takes, for each task: the one place where the tasks differ."""

from __future__ import annotations

from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from torch import Tensor

NOT_COUNTED = -100  # in targets: filled up on the right


def inputs_of(model: CompressedModel, ids: Tensor) -> dict[str, Tensor]:
    """What the model reads when it is given token ids [B, S] and nothing else.

    An encoder-decoder is given them twice: its decoder learns to say what its encoder reads, nothing left out.
    """
    if model.facts.task != "seq2seq":
        return {"input_ids": ids}
    return {"input_ids": ids, "decoder_input_ids": shifted(model, ids)}


def log_probabilities(model: CompressedModel, batch: Tensor) -> Tensor:
    """[B, S] -> float32 [B, S-1, V]: what the model expects at every place but the first."""
    with torch.inference_mode():
        logits = model.module(input_ids=batch, use_cache=False).logits[:, :-1]
        return torch.log_softmax(logits.float(), dim=-1)


def shifted(model: CompressedModel, targets: Tensor) -> Tensor:
    """What the decoder reads while it says the targets [B, S]: they, one place later, behind its start token."""
    start = torch.full_like(targets[:, :1], start_of_answer(model))
    return torch.cat([start, targets[:, :-1]], dim=1).masked_fill_(_after_end(targets), padding(model))


class Speaker:
    """A classifier or encoder-decoder that has read a prompt [1, S]: the one has said all that it can, the other says
    token after token, the likeliest each time, with a KV cache.
    """

    def __init__(self, model: CompressedModel, prompt: Tensor) -> None:
        self._module = model.module
        if model.facts.task == "classification":
            self._module(input_ids=prompt)
            return
        self._heard = self._module.get_encoder()(input_ids=prompt)
        self._say(torch.full_like(prompt[:, :1], start_of_answer(model)), None)

    def next(self) -> None:
        """One token more."""
        self._say(self._token, self._cache)

    def _say(self, ids: Tensor, cache: object) -> None:
        output = self._module(decoder_input_ids=ids, past_key_values=cache, encoder_outputs=self._heard, use_cache=True)
        self._token, self._cache = output.logits[:, -1:].argmax(-1), output.past_key_values


def start_of_answer(model: CompressedModel) -> int:
    """The token that a decoder begins with."""
    known: tuple[Any, ...] = (
        model.facts.generation.decoder_start,
        getattr(model.module.config, "decoder_start_token_id", None),
    )
    return next((int(token) for token in known if token is not None), padding(model))


def padding(model: CompressedModel) -> int:
    """The token that fills up what is too short; it is never looked at."""
    known: tuple[Any, ...] = (getattr(model.module.config, "pad_token_id", None), model.tokenizer.pad_token_id)
    return next((int(token) for token in known if token is not None), 0)


def _after_end(targets: Tensor) -> Tensor:
    """[B, S]: True where the token before is not counted."""
    return torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], dim=1) == NOT_COUNTED
