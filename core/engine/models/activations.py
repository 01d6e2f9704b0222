"""Inputs of matrices rounded to few bits, token by token, as a low-bit matmul would take them: simulated in floats.

Symmetric, one scale for every token, taken from the token itself (dynamic, per token: arXiv:2211.10438, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from compresslab.models.weights import WeightPlan
from torch import Tensor, nn


def round_inputs(module: nn.Module, weights: Iterable[WeightPlan]) -> None:
    """Let the modules of these weights round what they read, where their plan says so."""
    for weight in weights:
        if weight.activation_bits is not None:
            reader = module.get_submodule(weight.name.removesuffix(".weight"))
            reader.register_forward_pre_hook(partial(_round_first, bits=weight.activation_bits))


def rounded(inputs: Tensor, bits: int) -> Tensor:
    """Every token [..., d] on a symmetric grid of its own; gradients go straight through."""
    top = 2 ** (bits - 1) - 1
    with torch.no_grad():
        values = inputs.float()
        scales = values.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / top
        change = ((values / scales).round() * scales).to(inputs.dtype) - inputs
    return inputs + change


def _round_first(_module: nn.Module, inputs: tuple[Tensor, ...], *, bits: int) -> tuple[Tensor, ...]:
    return (rounded(inputs[0], bits), *inputs[1:])
