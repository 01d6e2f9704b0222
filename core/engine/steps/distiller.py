"""Training a student on its teacher. The losses are those of `methods.distill_logits` and `distill_layers`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil, cos, isfinite, pi
from typing import Any

import torch
import torch.nn.functional as F
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import fingerprint
from compresslab.engine.steps import teacher as teaching
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.student import Student
from compresslab.errors import BadInput, RunFailed
from compresslab.recipes.distilling import Distiller, kept_layers
from torch import Tensor, nn

WARM_UP = 0.1  # of all steps
CLIP = 1.0  # norm of the gradient
TELL_SECONDS = 0.1

Loss = Callable[[Tensor], Tensor]  # places of sequences [B] -> loss
Tell = Callable[[float], None]


def distill(model: CompressedModel, settings: Distiller, context: StepContext) -> None:
    """Take blocks out and train the model with the baseline as teacher, as far as the settings ask for either.

    Zeros stay zeros, rounded weights stay on their grids. Raises BadInput for another vocabulary, Cancelled between
    steps, RunFailed when the loss is no number any more.
    """
    if 0 < settings.student_layers < model.depth:
        model.keep_layers(kept_layers(model.depth, settings.student_layers))
    if settings.steps:
        _learn(model, settings, context)


def _learn(model: CompressedModel, settings: Distiller, context: StepContext) -> None:
    if context.baseline.facts.vocab_size != model.facts.vocab_size:
        raise BadInput("train.vocabulary", teacher=context.baseline.facts.vocab_size, student=model.facts.vocab_size)
    tells = _tells(settings, context)
    sequences = _sequences(settings, context, tells["write"])
    student = Student(model, settings, context.seed)
    if not student.parameters:
        raise BadInput("train.nothing", name=settings.name)
    batches = _batches(len(sequences), settings.batch, context.seed)
    teacher = context.baseline.copy() if settings.attention_weight else context.baseline
    with _plain_attention([teacher, model] if settings.attention_weight else []):
        loss_of = _Losses(model, student, teacher, settings, context, sequences, tells["read"])
        _train(student, loss_of, batches, settings, context, tells["train"])
    student.settle()


def _tells(settings: Distiller, context: StepContext) -> dict[str, Tell]:
    """Writing, reading and training on one bar, each as long as its forward passes of a sequence."""
    count = len(context.calibration())
    parts = {
        "write": 2.0 * count if settings.text == "teacher" else 0.0,
        "read": 1.0 * count if settings.remembered else 0.0,
        "train": 3.0 * settings.steps * settings.batch,
    }
    whole, before = sum(parts.values()), 0.0
    tells: dict[str, Tell] = {}
    for name, part in parts.items():
        tells[name] = partial(_tell_part, context.tell, before / whole, part / whole)
        before += part
    return tells


def _tell_part(tell: Tell, begun: float, length: float, share: float) -> None:
    tell(begun + length * share)


@contextmanager
def _plain_attention(models: list[CompressedModel]) -> Iterator[None]:
    """Attention that gives its maps, for as long as they are looked at."""
    before = [model.module.config._attn_implementation for model in models]
    for model in models:
        model.module.set_attn_implementation("eager")
    try:
        yield
    finally:
        for model, implementation in zip(models, before, strict=True):
            model.module.set_attn_implementation(implementation)


def _train(
    student: Student, loss_of: Loss, batches: Iterator[Tensor], settings: Distiller, context: StepContext, tell: Tell
) -> None:
    optimizer = torch.optim.AdamW(
        student.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings))
    told = 0.0
    for step in range(1, settings.steps + 1):
        tell((step - 1) / settings.steps)
        loss = loss_of(next(batches))
        value = float(loss.detach())
        if not isfinite(value):
            raise RunFailed("train.diverged", step=step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters, CLIP)
        optimizer.step()
        rates.step()
        if step in (1, settings.steps) or time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            context.loss(step, settings.steps, value)


def _sequences(settings: Distiller, context: StepContext, tell: Tell) -> Tensor:
    """int64 [N, T]: the calibration text, or as much that the teacher writes."""
    calibration = context.calibration()
    if settings.text == "calibration":
        return calibration
    count, length = calibration.shape
    context.job.remember("train.own_texts", count=count, length=length)
    key = ("written", context.baseline.weights_hash(), count, length, context.seed)
    return context.session.taught(key, lambda: teaching.written(context.baseline, count, length, context.seed, tell))


class _Losses:
    """The loss of a batch: the parts that the settings ask for."""

    def __init__(
        self,
        model: CompressedModel,
        student: Student,
        teacher: CompressedModel,
        settings: Distiller,
        context: StepContext,
        sequences: Tensor,
        tell: Tell,
    ) -> None:
        self._student, self._settings, self._sequences = student, settings, sequences
        self._teacher, self._device = teacher, model.device
        self._layers = [ceil((i + 1) * context.baseline.depth / model.depth) for i in range(model.depth)]
        self._options: dict[str, Any] = {}
        if settings.hidden_weight:
            self._options["output_hidden_states"] = True
        if settings.attention_weight:
            self._options["output_attentions"] = True
        self._asks = bool(self._options) or not settings.remembered
        self._opinions = self._remembered(context, tell) if settings.kd_weight > 0 and not self._asks else None

    def __call__(self, places: Tensor) -> Tensor:
        settings = self._settings
        batch = self._sequences[places].to(self._device)
        said = self._student(batch, **self._options)
        logits = said.logits[:, :-1].flatten(0, 1).float()
        loss = torch.zeros((), device=self._device)
        wanted: Any = self._asked(batch) if self._asks else None
        if settings.kd_weight > 0:
            loss = loss + settings.kd_weight * settings.temperature**2 * self._divergence(places, logits, wanted)
        if settings.kd_weight < 1:
            loss = loss + (1 - settings.kd_weight) * F.cross_entropy(logits, batch[:, 1:].flatten())
        if settings.hidden_weight:
            mapped = [wanted.hidden_states[layer] for layer in self._layers]
            loss = loss + settings.hidden_weight * _distance(said.hidden_states[1:], mapped)
        if settings.attention_weight:
            mapped = [wanted.attentions[layer - 1].mean(1) for layer in self._layers]
            loss = loss + settings.attention_weight * _distance([a.mean(1) for a in said.attentions], mapped)
        return loss

    def _asked(self, batch: Tensor) -> Any:
        with torch.no_grad():
            return self._teacher.module(input_ids=batch, use_cache=False, **self._options)

    def _divergence(self, places: Tensor, logits: Tensor, wanted: Any) -> Tensor:
        temperature = self._settings.temperature
        if self._opinions is not None:
            return self._opinions.divergence(places, logits, temperature)
        target = F.log_softmax(wanted.logits[:, :-1].flatten(0, 1).float() / temperature, dim=-1)
        return F.kl_div(F.log_softmax(logits / temperature, dim=-1), target, reduction="batchmean", log_target=True)

    def _remembered(self, context: StepContext, tell: Tell) -> teaching.Opinions:
        settings, sequences = self._settings, self._sequences
        key = ("opinions", context.baseline.weights_hash(), fingerprint(sequences), settings.remembered)
        return context.session.taught(
            (*key, settings.temperature),
            lambda: teaching.opinions(context.baseline, sequences, settings.remembered, settings.temperature, tell),
        )


def _distance(said: Any, wanted: list[Tensor]) -> Tensor:
    """Mean over layers of the squared distance, relative to the square of what is wanted."""
    parts = [(s - w).square().mean() / w.square().mean() for s, w in zip(said, wanted, strict=True)]
    return torch.stack(parts).mean()


def _rate(step: int, settings: Distiller) -> float:
    """Linear warm-up over a tenth of the steps, then as the schedule says."""
    warm = max(1, round(WARM_UP * settings.steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, settings.steps - warm)
    return {"cosine": 0.5 * (1 + cos(pi * done)), "linear": 1 - done, "constant": 1.0}[settings.schedule]


def _batches(count: int, size: int, seed: int) -> Iterator[Tensor]:
    """Places of sequences, batch by batch without end, every pass in a new order."""
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.long)
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[:size]
        waiting = waiting[size:]
