"""Training a student on its teacher's probabilities. The loss is written down in `core.methods.distill_logits`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import cos, isfinite, pi
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.engine.architecture import replace_parameter
from core.engine.context import StepContext
from core.engine.model import CompressedModel
from core.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from core.methods.distill_logits import DistillLogits

WARM_UP = 0.1  # of all steps
CLIP = 1.0  # norm of the gradient
TELL_SECONDS = 0.1


def distill(model: CompressedModel, settings: DistillLogits, context: StepContext) -> None:
    """Train every weight of the model, in float32, with the baseline as teacher. Zeros stay zeros.

    Raises BadInput for another vocabulary, Cancelled between steps, RunFailed when the loss is no number any more.
    """
    if context.baseline.facts.vocab_size != model.facts.vocab_size:
        raise BadInput(
            f"Teacher and student must share one vocabulary: they have {context.baseline.facts.vocab_size:,} and "
            f"{model.facts.vocab_size:,} tokens."
        )
    student = _Student(model)
    optimizer = torch.optim.AdamW(student.parameters, lr=settings.learning_rate, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.steps))
    batches = _batches(context.calibration(), settings.batch, context.seed)
    told = 0.0
    for step in range(1, settings.steps + 1):
        context.check()
        batch = next(batches).to(model.device)
        loss = _loss(student.module, context.baseline, batch, settings)
        value = float(loss.detach())
        if not isfinite(value):
            raise RunFailed(f"Training broke at step {step}: the loss is no number; take a smaller learning_rate.")
        student.update(loss, optimizer)
        rates.step()
        context.job.tracker.advance(step, settings.steps)
        if step in (1, settings.steps) or time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            context.loss(step, settings.steps, value)
    model.settle(student.values())


class _Student:
    """Float32 copies of a model's weights that can be trained, while the model itself stays as it is."""

    def __init__(self, model: CompressedModel) -> None:
        self._names = list(model.stored)
        self.module = model.copy().module.requires_grad_(False)  # evaluation mode: no dropout, the same every time
        for name in self._names:
            replace_parameter(self.module, name, nn.Parameter(model.weight(name).clone()))
        self.parameters = [self.module.get_parameter(name) for name in self._names]
        self._kept = {name: ~mask for name, mask in model.masks.items()}

    def update(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One step in which masked weights neither count for the gradient's norm nor move."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for name, kept in self._kept.items():
            gradient = self.module.get_parameter(name).grad
            if gradient is not None:
                gradient.mul_(kept)
        nn.utils.clip_grad_norm_(self.parameters, CLIP)
        optimizer.step()

    def values(self) -> dict[str, Tensor]:
        return {name: self.module.get_parameter(name).detach() for name in self._names}


def _loss(student: nn.Module, teacher: CompressedModel, batch: Tensor, settings: DistillLogits) -> Tensor:
    """kd_weight * T^2 * KL(teacher || student) + (1 - kd_weight) * NLL, mean over tokens."""
    logits = student(input_ids=batch, use_cache=False).logits[:, :-1].flatten(0, 1).float()
    loss = torch.zeros((), device=batch.device)
    if settings.kd_weight > 0:
        with torch.no_grad():
            wanted = teacher.module(input_ids=batch, use_cache=False).logits[:, :-1].flatten(0, 1).float()
            wanted = F.log_softmax(wanted / settings.temperature, dim=-1)
        soft = F.log_softmax(logits / settings.temperature, dim=-1)
        divergence = F.kl_div(soft, wanted, reduction="batchmean", log_target=True)
        loss = loss + settings.kd_weight * settings.temperature**2 * divergence
    if settings.kd_weight < 1:
        loss = loss + (1 - settings.kd_weight) * F.cross_entropy(logits, batch[:, 1:].flatten())
    return loss


def _rate(step: int, steps: int) -> float:
    """Linear warm-up over a tenth of the steps, then cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + cos(pi * (step - warm) / max(1, steps - warm)))


def _batches(sequences: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Batches without end, every pass over the sequences in a new order."""
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.long)
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(len(sequences), generator=generator)])
        yield sequences[waiting[:size]]
        waiting = waiting[size:]
