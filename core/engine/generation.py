"""Streaming generation: token by token, from a seed of its own, with transformers' own decoding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from compresslab.engine.job import Job
from compresslab.engine.measuring.timing import runtime_label
from compresslab.engine.models.chat import Prompt, token_ids
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import start_of_answer
from compresslab.engine.models.tokens import check_known, start_token
from compresslab.engine.runtimes import Runtime
from compresslab.engine.runtimes.decoding import writer_of
from compresslab.errors import BadInput, first_line
from compresslab.files.locks import timing_lock
from compresslab.messages import Message, remarks
from compresslab.models.generation_defaults import GenerationDefaults
from compresslab.recipes.generation_request import Decoding
from compresslab.records.events import PaneDone, PaneStarted, Token
from filelock import Timeout
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

BROKEN = "\ufffd"  # what a decoder makes of half a character
ALTERNATIVES = 3  # words told of each place, the likeliest first
LOOK_BACK = 6  # tokens before the new ones that decide how those are spelled


@dataclass(frozen=True)
class Author:
    """A model that writes, and the runtime in which it does."""

    model: CompressedModel
    runtime: Runtime


def check_writes(model: CompressedModel) -> None:
    """Raises BadInput for a model that writes no text."""
    if model.facts.task == "classification":
        raise BadInput("generate.classifier", name=model.facts.name)


def write_pane(
    author: Author, prompt: Prompt, decoding: Decoding, pane: int, label: str, job: Job, *, words: bool = True
) -> str:
    """Generate one pane, and tell every token if `words`; returns the text. Raises BadInput, Cancelled."""
    model = author.model
    ids = _prompt_ids(model, prompt)
    room = model.context_length - len(_before_answer(model, ids))
    if room < decoding.max_new_tokens:
        job.notice("generate.context_ends", count=room)
    job.report(PaneStarted(pane=pane, label=label, weights_hash=model.weights_hash()))
    with _own_defaults_may_fail(model):
        config = _config(model, decoding, room)
        beams = config.num_beams > 1
    chances = _Chances(model.tokenizer) if words and not beams else None
    tell: Callable[[Token], None] = job.report if words else lambda token: None
    writer = _Writer(model, _before_answer(model, ids), job.check, tell, pane, chances)
    if beams:
        job.notice("generate.beams")
    with _own_defaults_may_fail(model):
        alone = _generate(author, ids, config, decoding.seed, writer)
    job.report(_done(author.runtime, writer, pane, alone, streamed=not beams))
    return writer.text


def _prompt_ids(model: CompressedModel, prompt: Prompt) -> list[int]:
    ids = token_ids(model, prompt) or start_token(model.tokenizer)
    if not ids:
        raise BadInput("generate.empty_prompt")
    check_known(ids, model)
    if len(ids) >= model.context_length:
        raise BadInput("generate.prompt_too_long", tokens=len(ids), most=model.context_length)
    return ids


def _before_answer(model: CompressedModel, ids: list[int]) -> list[int]:
    """The tokens that the answer continues: the prompt; of an encoder-decoder, which reads it apart, its start."""
    return [start_of_answer(model)] if model.facts.task == "seq2seq" else ids


def _config(model: CompressedModel, decoding: Decoding, room: int) -> GenerationConfig:
    """How the next token is chosen is the decoding's; what a text begins and ends with, and what is kept out of it, the
    model's own.
    """
    own = model.facts.generation
    edges = own.edges()
    if model.facts.task == "seq2seq":
        edges["decoder_start_token_id"] = start_of_answer(model)
    most = min(decoding.max_new_tokens, room)
    return GenerationConfig(max_new_tokens=most, **_choice(decoding, own) | edges | own.limits())


def _choice(decoding: Decoding, own: GenerationDefaults) -> dict[str, Any]:
    """How the next token is chosen, under transformers' names."""
    if decoding.strategy == "sample":
        sampling = {"temperature": decoding.sampling_temperature, "top_p": decoding.top_p, "top_k": 0}
        return {"do_sample": True, "num_beams": 1} | sampling
    if decoding.strategy == "model":
        return {"do_sample": False, "num_beams": 1} | own.habits()
    return {"do_sample": False, "num_beams": decoding.beams if decoding.strategy == "beam" else 1}


@contextmanager
def _own_defaults_may_fail(model: CompressedModel) -> Iterator[None]:
    """What transformers says of values that it does not take, as one sentence. Raises BadInput."""
    try:
        yield
    except (ValueError, TypeError, IndexError) as error:
        raise BadInput("generate.defaults_refused", name=model.facts.name, reason=first_line(error)) from error


def _generate(author: Author, ids: list[int], config: GenerationConfig, seed: int, writer: _Writer) -> bool:
    """Run transformers' generate with its own random numbers; returns whether no timing ran beside it."""
    model = author.model
    speaker, cache = writer_of(model, author.runtime, len(ids) + config.max_new_tokens)
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
            output = speaker.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                past_key_values=cache,
                generation_config=config,
                streamer=writer if streams else None,
                logits_processor=[writer.chances] if writer.chances else None,
                stopping_criteria=None if streams else [_Stop(writer.check)],
                **({"tokenizer": model.tokenizer} if config.stop_strings else {}),
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


class _Chances:
    """Looks at the logits as the model gave them, before temperature and top-p; it changes none."""

    def __init__(self, tokenizer: Any) -> None:
        self._spell = cache(lambda token: str(tokenizer.decode([token])))
        self._logits = torch.empty(0)  # [vocabulary]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._logits = scores[0]
        return scores

    def of(self, token: int) -> dict[str, Any]:
        """What the newest token's event says of its probability."""
        shares = self._logits.float().softmax(-1)
        values, tokens = shares.topk(min(ALTERNATIVES, len(shares)))
        likeliest = zip(tokens.tolist(), values.tolist(), strict=True)
        return {
            "probability": shares[token].item(),
            "alternatives": tuple((self._spell(other), value) for other, value in likeliest),
        }


@dataclass
class _Writer(BaseStreamer):
    """Receives tokens from generate and turns them into text, a whole character at a time."""

    model: CompressedModel
    prompt: list[int]
    check: Callable[[], None]
    tell: Callable[[Token], None]
    pane: int = 0
    chances: _Chances | None = None
    text: str = ""
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = list(self.prompt[-LOOK_BACK:])
        self._told, self._read = 0, len(self._ids)  # text up to `read` is out, spelled from `told` on
        ends = self.model.facts.generation.ends
        self._signs = set(ends) & set(self.model.tokenizer.added_tokens_decoder)  # ends that are no words
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
            if token in self._signs:
                return
            self.times.append(time.perf_counter() - self._begun)
            self._ids.append(token)
            self.tell(self._event(token))

    def _event(self, token: int) -> Token:
        """Of the newest token."""
        said = {} if self.chances is None else self.chances.of(token)
        place, seconds = len(self.times) - 1, self.times[-1]
        return Token(pane=self.pane, index=place, token_id=token, text=self._spell(), seconds=seconds, **said)

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


def _done(runtime: Runtime, writer: _Writer, pane: int, alone: bool, *, streamed: bool) -> PaneDone:
    times = writer.times
    timed = streamed and len(times) > 1 and times[-1] > times[0]
    rate = (len(times) - 1) / (times[-1] - times[0]) if timed else None
    notes = [runtime.reason, None if alone else Message("timing.beside_work")]
    return PaneDone(
        pane=pane,
        text=writer.text,
        tokens=len(times),
        ttft_seconds=times[0] if times else 0.0,
        decode_tokens_per_second=rate,
        kernel="real" if runtime.real else "simulated",
        runtime=runtime_label(runtime),
        note=remarks(*notes),
    )
