"""transformers models, made of weights that are in memory already. Every matrix is [out, in] here.

GPT-2 keeps its matrices as Conv1D, transposed; in the engine they are nn.Linear, so that no method has to know.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import transformers
from compresslab.errors import BadInput, first_line
from compresslab.models.anatomy import Task
from compresslab.models.facts import BLOCK
from compresslab.models.families import FAMILIES
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
AUTO: dict[Task, Any] = {
    "causal": AutoModelForCausalLM,
    "classification": AutoModelForSequenceClassification,
    "seq2seq": AutoModelForSeq2SeqLM,
}


def module_of(
    config: Any,
    values: dict[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
    hollow: Mapping[str, tuple[int, ...]] | None = None,
) -> PreTrainedModel:
    """The model that the config describes, with these weights, in evaluation mode. Raises BadInput.

    `hollow` are the shapes of weights without values: their parameters hold nothing yet (meta).
    """
    module, extra = module_and_extra(config, values, dtype, device, hollow)
    if extra:
        raise BadInput("model.weights_extra", weight=min(extra))
    return module


def module_and_extra(
    config: Any,
    values: dict[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
    hollow: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[PreTrainedModel, set[str]]:
    """As `module_of`; and the names of the weights outside its blocks, or of further blocks, that it has no place for.

    A weight that a block of the model has no place for is no such thing: it is another model than the config says.
    """
    conv1d = FAMILIES[config.model_type].anatomy.conv1d
    state = {name: _turned(name, value.to(dtype), conv1d) for name, value in values.items()}
    hollow = hollow or {}
    state |= {name: _turned(name, _without_memory(shape, dtype), conv1d) for name, shape in hollow.items()}
    module, info = _loaded(config, state, dtype)
    wrong = sorted(info["missing_keys"]) or sorted(name for name, *_ in info["mismatched_keys"])
    if wrong:
        raise BadInput("model.weights_misfit", weight=wrong[0])
    extra = set(info["unexpected_keys"])
    inside = [name for name in extra if _is_in_block(name, module)]
    if inside:
        raise BadInput("model.weights_extra", weight=min(inside))
    _part(module, values)
    for name in hollow.keys() - extra:
        owner, _, key = name.rpartition(".")
        module.get_submodule(owner)._parameters[key] = nn.Parameter(state[name].to("meta"), requires_grad=False)
    _linear_for_conv1d(module)
    module._apply(lambda tensor: tensor if tensor.is_meta else tensor.to(device))
    return module.eval().requires_grad_(False), extra


def _is_in_block(name: str, module: nn.Module) -> bool:
    """Whether a weight would belong to a block that the module has."""
    block = BLOCK.search(name)
    places = {place for place, _ in module.named_modules()} if block else set()
    return block is not None and name[: block.end(1)] in places


def _loaded(config: Any, state: dict[str, Tensor], dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """Raises BadInput; MemoryError and what torch raises where memory runs out go through."""
    try:
        kind: Any = AUTO[FAMILIES[config.model_type].anatomy.task]._model_mapping[type(config)]
        found: tuple[Any, dict[str, Any]] = kind.from_pretrained(
            None, config=copy.deepcopy(config), state_dict=state, dtype=dtype, output_loading_info=True
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 whatever a config that fits no model makes a model's own code raise
        raise BadInput("model.config_refused", reason=first_line(error)) from None
    return found


def _part(module: PreTrainedModel, names: Iterable[str]) -> None:
    """Weights that are equal in this dtype are taken for tied: here, those that have names of their own stay apart."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    seen: set[int] = set()
    for name in names:
        parameter = parameters.get(name)
        if parameter is not None and id(parameter) in seen:
            owner, _, key = name.rpartition(".")
            own = nn.Parameter(parameter.detach().clone(), requires_grad=False)
            module.get_submodule(owner)._parameters[key] = own
        seen.add(id(parameter))


def logits_of(module: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Last hidden states [..., H] -> float32 logits [..., V]."""
    head: nn.Module = module.get_output_embeddings()
    logits: Tensor = head(hidden).float()
    cap = getattr(module.config, "final_logit_softcapping", None)  # of Gemma 2
    return logits if cap is None else cap * torch.tanh(logits / cap)


def replace_parameter(module: nn.Module, name: str, new: nn.Parameter) -> None:
    """Put a parameter in the place of another, under every name that shares it (tied embeddings)."""
    old = module.get_parameter(name)
    for part in module.modules():
        for key, parameter in part._parameters.items():
            if parameter is old:
                part._parameters[key] = new


def as_stored(name: str, value: Tensor, conv1d: bool) -> Tensor:
    """As a checkpoint of the family keeps it."""
    return _turned(name, value, conv1d).contiguous()


def _turned(name: str, value: Tensor, conv1d: bool) -> Tensor:
    return value.T if conv1d and value.ndim == 2 and BLOCK.search(name) else value


def _without_memory(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros that all lie in one place."""
    return torch.zeros((), dtype=dtype).expand(shape)


def _linear_for_conv1d(module: nn.Module) -> None:
    for name, conv in [(n, m) for n, m in module.named_modules() if isinstance(m, Conv1D)]:
        columns, rows = conv.weight.shape  # Conv1D: [in, out]
        linear = nn.Linear(columns, rows, device="meta")
        linear.weight = nn.Parameter(conv.weight.T, requires_grad=False)
        linear.bias = conv.bias
        module.set_submodule(name, linear)
