"""Streaming generation: token by token, from a seed of its own, with transformers' own decoding."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from filelock import Timeout
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from core.engine.context import Job
from core.engine.model import CompressedModel
from core.engine.tasks import start_of_answer
from core.engine.timing import kernel_note, timing_lock
from core.engine.tokens import start_token
from core.errors import BadInput
from core.events import PaneDone, PaneStarted, Token
from core.generation_request import Decoding

BROKEN = "\ufffd"  # what a decoder makes of half a character
LOOK_BACK = 6  # tokens before the new ones that decide how those are spelled


def write_pane(model: CompressedModel, prompt: str, decoding: Decoding, pane: int, label: str, job: Job) -> str:
    """Generate one pane and tell every token; returns the text. Raises BadInput, Cancelled."""
    if model.facts.task == "classification":
        raise BadInput(
            f"{model.facts.name} is a classifier: it names a class and writes no text. Look at its accuracy."
        )
    ids = _prompt_ids(model, prompt)
    room = model.context_length - len(_before_answer(model, ids))
    if room < decoding.max_new_tokens:
        job.notice(f"The answer ends after {room} tokens at the latest: the model's context holds no more.")
    job.report(PaneStarted(pane=pane, label=label, weights_hash=model.weights_hash()))
    writer = _Writer(model, _before_answer(model, ids), job.check, lambda *token: job.report(_token(pane, *token)))
    if decoding.strategy == "beam":
        job.notice("Beam search keeps several drafts at once: its text appears when the best one is known.")
    alone = _generate(model, ids, _config(model, decoding, room), decoding.seed, writer)
    job.report(_done(model, writer, pane, alone, decoding.strategy))
    return writer.text


def _prompt_ids(model: CompressedModel, prompt: str) -> list[int]:
    ids = list(model.tokenizer(prompt, verbose=False).input_ids) or start_token(model.tokenizer)
    if not ids:
        raise BadInput("The prompt is empty and this model has no token to begin with; write a few words.")
    if len(ids) >= model.context_length:
        raise BadInput(
            f"The prompt has {len(ids)} tokens and the model reads {model.context_length} at the most; shorten it."
        )
    return ids


def _before_answer(model: CompressedModel, ids: list[int]) -> list[int]:
    """The tokens that the answer continues: the prompt; of an encoder-decoder, which reads it apart, its start."""
    return [start_of_answer(model)] if model.facts.task == "seq2seq" else ids


def _config(model: CompressedModel, decoding: Decoding, room: int) -> GenerationConfig:
    own = model.module.generation_config
    sampling = {"temperature": decoding.sampling_temperature, "top_p": decoding.top_p, "top_k": 0}
    ends = own.eos_token_id if own.eos_token_id is not None else model.module.config.eos_token_id
    return GenerationConfig(
        max_new_tokens=min(decoding.max_new_tokens, room),
        do_sample=decoding.strategy == "sample",
        num_beams=decoding.beams if decoding.strategy == "beam" else 1,
        eos_token_id=ends,
        pad_token_id=own.pad_token_id if own.pad_token_id is not None else _first(ends),
        bos_token_id=own.bos_token_id,
        decoder_start_token_id=start_of_answer(model) if model.facts.task == "seq2seq" else None,
        **(sampling if decoding.strategy == "sample" else {}),
    )


def _generate(model: CompressedModel, ids: list[int], config: GenerationConfig, seed: int, writer: _Writer) -> bool:
    """Run transformers' generate with its own random numbers; returns whether no timing ran beside it."""
    prompt = torch.tensor([ids], device=model.device)
    streams = config.num_beams == 1
    lock = timing_lock()
    with suppress(Timeout):
        lock.acquire(timeout=0)  # a person waits: never wait for the lock
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.inference_mode():
            torch.manual_seed(seed)
            writer.begin()
            generate: Any = model.module.generate
            output = generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=config,
                streamer=writer if streams else None,
                stopping_criteria=None if streams else [_Stop(writer.check)],
            )
        if not streams:
            writer.put(prompt)
            writer.put(output[0, len(writer.prompt) :])
            writer.end()
        return lock.is_locked
    finally:
        lock.release()


class _Stop:
    """Looks for cancellation between the steps of a beam search; it never ends the search by itself."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self._check()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@dataclass
class _Writer(BaseStreamer):
    """Receives tokens from generate and turns them into text, a whole character at a time."""

    model: CompressedModel
    prompt: list[int]
    check: Callable[[], None]
    tell: Callable[[int, int, str, float], None]  # index, token id, text, seconds
    text: str = ""
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = list(self.prompt[-LOOK_BACK:])
        self._told, self._read = 0, len(self._ids)  # text up to `read` is out, spelled from `told` on
        self._ends = _all(self.model.module.generation_config.eos_token_id, self.model.module.config.eos_token_id)
        self._prompt_seen = False
        self._begun = 0.0

    def begin(self) -> None:
        self._begun = time.perf_counter()

    def put(self, value: torch.Tensor) -> None:
        """generate gives the prompt first, then every new token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
            self.check()
            if token in self._ends:
                return
            self.times.append(time.perf_counter() - self._begun)
            self._ids.append(token)
            self.tell(len(self.times) - 1, token, self._spell(), self.times[-1])

    def end(self) -> None:
        """Nothing is left to tell: half a character at the very end is left away."""

    def _spell(self) -> str:
        """The text that the newest token adds; empty while a character is not whole."""
        before = self._decode(self._ids[self._told : self._read])
        after = self._decode(self._ids[self._told :])
        if after.endswith(BROKEN) or len(after) <= len(before):
            return ""
        self._told, self._read = self._read, len(self._ids)
        self.text += after[len(before) :]
        return after[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        return str(self.model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _token(pane: int, index: int, token_id: int, text: str, seconds: float) -> Token:
    return Token(pane=pane, index=index, token_id=token_id, text=text, seconds=seconds)


def _done(model: CompressedModel, writer: _Writer, pane: int, alone: bool, strategy: str) -> PaneDone:
    times = writer.times
    streamed = strategy != "beam" and len(times) > 1
    rate = (len(times) - 1) / (times[-1] - times[0]) if streamed and times[-1] > times[0] else None
    notes = [kernel_note(model), "" if alone else "timed beside other work"]
    return PaneDone(
        pane=pane,
        text=writer.text,
        tokens=len(times),
        ttft_seconds=times[0] if times else 0.0,
        decode_tokens_per_second=rate,
        kernel=model.kernel,
        note="; ".join(note for note in notes if note),
    )


def _all(*ids: int | list[int] | None) -> set[int]:
    return {token for entry in ids if entry is not None for token in (entry if isinstance(entry, list) else [entry])}


def _first(ids: int | list[int] | None) -> int | None:
    return ids[0] if isinstance(ids, list) else ids
