"""Which runtime a model runs in: what it was asked for, what can express it, and what a short trial says.

Warm runtimes are kept, named by the content of the weights, as few as the models that a session keeps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar
from weakref import WeakSet

import psutil
import torch
from compresslab.engine.lru import Budget, LruCache, get_or_make
from compresslab.engine.models.device import synchronize
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import LONG_PROMPT, CannotExpress, Form, Runtime
from compresslab.engine.runtimes.decoding import Greedy
from compresslab.engine.runtimes.prompts import has_room, is_faster, is_near
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.runtimes.torchao_runtime import TorchaoRuntime, candidates
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.messages import Message
from compresslab.recipes.generation_request import RuntimeChoice

T = TypeVar("T")

WARM = 4  # runtimes that are kept: baseline and compressed of two comparisons
TRIAL_PROMPT, TRIAL_TOKENS, TRIAL_ROUNDS = 8, 6, 5
CLEARLY = 1.1  # torch must be this much faster in the trial, or the low-bit runtime is taken
SHARE_OF_MEMORY = 0.5  # of what is free, that a second form of the weights may take
ASKED = Message("device.asked")


@dataclass(frozen=True)
class Chosen:
    """A runtime, and why this one."""

    runtime: Runtime
    why: Message


class Runtimes:
    """The warm runtimes of a process, and the choice among them."""

    def __init__(self, budget: Budget) -> None:
        self._warm: LruCache[Runtime] = budget.cache(WARM)  # by weights and form
        self._trials: dict[tuple[str, Message], float] = {}
        self._threads: dict[tuple[str, str], int] = {}
        self._considered: WeakSet[Runtime] = WeakSet()  # for a second form to read prompts in
        self._slow_prompts: set[tuple[str, Message]] = set()  # checkpoints and kernels

    def choose(self, model: CompressedModel, asked: RuntimeChoice = "auto", prompt_tokens: int = 0) -> Chosen:
        """The low-bit runtime where it can express the model and torch is not clearly faster; else torch, and why.
        Where so long a prompt is to come, it gets a second form to read it in, if that is better.
        """
        chosen = self._choose(model, asked)
        if prompt_tokens >= LONG_PROMPT and form_of(model) == "bits":
            self._consider_prompts(chosen.runtime, model)
        return chosen

    def _choose(self, model: CompressedModel, asked: RuntimeChoice) -> Chosen:
        plain = TorchRuntime(model)
        if asked == "torch":
            return Chosen(plain, ASKED)
        gpu = model.device.type == "cuda" and asked == "auto"
        try:
            low = self._torchao(model) if gpu else self.onnx(model)
        except CannotExpress as reason:
            name = "torchao" if gpu else "onnxruntime"
            return Chosen(plain, Message("runtime.refused", runtime=name, reason=reason.message))
        if asked == low.name:
            return Chosen(low, ASKED)
        times = self._times_faster(model, low, plain)
        if times * CLEARLY < 1:
            return Chosen(plain, Message("runtime.torch_faster", times=1 / times, runtime=low.name))
        return Chosen(low, Message("runtime.faster", times=times))

    def onnx(self, model: CompressedModel, form: Form | None = None) -> Runtime:
        """The model in onnxruntime, made once, in the form of its weights or in another. Raises CannotExpress."""
        _check(model)
        form = form or form_of(model)
        return get_or_make(self._warm, (model.weights_hash(), form), lambda: self._onnx(model, form))

    def _onnx(self, model: CompressedModel, form: Form) -> Runtime:
        """With as many threads as were fastest for models of this checkpoint."""
        # importing onnxruntime takes a third of a second, which those who stay in torch need not wait
        from compresslab.engine.runtimes.onnx_graph import graph_of
        from compresslab.engine.runtimes.onnx_session import OnnxRuntime

        graph = graph_of(model, form=form)
        key = (str(model.facts.folder), form)
        if key in self._threads:
            return OnnxRuntime(graph, self._threads[key])
        tried = {threads: OnnxRuntime(graph, threads) for threads in thread_counts()}
        self._threads[key] = _fastest(tried, model)
        return tried[self._threads[key]]

    def _consider_prompts(self, runtime: Runtime, model: CompressedModel) -> None:
        """Let prompts be read in int8 where `prompts` says that this is better; looked into once."""
        from compresslab.engine.runtimes.onnx_graph import graph_of
        from compresslab.engine.runtimes.onnx_session import OnnxRuntime

        tried = (str(model.facts.folder), runtime.kernel)
        if not isinstance(runtime, OnnxRuntime) or runtime in self._considered or tried in self._slow_prompts:
            return
        self._considered.add(runtime)
        if not has_room(model):
            return
        other = OnnxRuntime(graph_of(model, form="dynamic_int8"), torch.get_num_threads())
        if not is_faster(other, runtime, model):
            self._slow_prompts.add(tried)
        elif is_near(other, model):
            runtime.read_prompts_in(other)

    def _torchao(self, model: CompressedModel) -> Runtime:
        """In the kernel of the codes' width that is fastest here. Raises CannotExpress."""
        kernels = candidates(model)

        def make() -> Runtime:
            tried = {kernel: TorchaoRuntime(model, kernel) for kernel in kernels}
            return tried[_fastest(tried, model)]

        return get_or_make(self._warm, (model.weights_hash(), "torchao"), make)

    def _times_faster(self, model: CompressedModel, low: Runtime, plain: TorchRuntime) -> float:
        key = (model.weights_hash(), low.kernel)
        if key not in self._trials:
            quick, slow = seconds_a_token([low, plain], model)
            self._trials[key] = slow / quick
        return self._trials[key]


def _fastest(tried: Mapping[T, Runtime], model: CompressedModel) -> T:
    """The key of the quickest; the only one needs no trial."""
    if len(tried) == 1:
        return next(iter(tried))
    seconds = seconds_a_token(list(tried.values()), model)
    return min(zip(seconds, tried, strict=True), key=lambda timed: timed[0])[1]


def form_of(model: CompressedModel) -> Form:
    """Codes run as codes; a model without any is a float32 graph."""
    quantized = any(isinstance(model.stored[name], QuantizedWeight) for name in model.weights)
    return "bits" if quantized else "float32"


def thread_counts() -> list[int]:
    """What is tried for writing: the threads that torch takes, and half of them."""
    most = torch.get_num_threads()
    return sorted({most, max(1, most // 2)}, reverse=True)


def seconds_a_token(runtimes: Sequence[Runtime], model: CompressedModel) -> list[float]:
    """Median seconds of one greedy token, the runtimes taking turns, after a round that is not counted."""
    prompt = torch.zeros(1, min(TRIAL_PROMPT, model.context_length - TRIAL_TOKENS), dtype=torch.long)
    taken: list[list[float]] = [[] for _ in runtimes]
    for round_ in range(TRIAL_ROUNDS + 1):
        for runtime, seconds in zip(runtimes, taken, strict=True):
            greedy = Greedy(runtime, prompt, TRIAL_TOKENS)
            begun = time.perf_counter()
            for _ in range(TRIAL_TOKENS):
                greedy.next()
            synchronize(model.device)
            if round_:
                seconds.append((time.perf_counter() - begun) / TRIAL_TOKENS)
    return [median(seconds) for seconds in taken]


def _check(model: CompressedModel) -> None:
    """Raises CannotExpress for what no graph is needed to know."""
    if model.facts.task != "causal":
        raise CannotExpress("runtime.not_causal")
    if model.device.type != "cpu":
        raise CannotExpress("runtime.not_on_cpu", device=model.device.type)
    if model.offloaded:
        raise CannotExpress("runtime.offloaded")
    need = sum(weight.count for weight in model.weights.values()) * 4
    if need > SHARE_OF_MEMORY * psutil.virtual_memory().available:
        raise CannotExpress("runtime.no_memory", needed=need / 1e9)
