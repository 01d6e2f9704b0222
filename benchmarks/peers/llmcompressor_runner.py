"""llm-compressor: `oneshot` with its own modifiers, on CPU. Run by an interpreter that has it; see README.md."""

from __future__ import annotations

import time

STARTED = time.perf_counter()

from collections.abc import Callable  # noqa: E402 - how long the imports take is measured
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme, forward  # noqa: E402
from llmcompressor import oneshot  # noqa: E402
from llmcompressor.modifiers.pruning import SparseGPTModifier, WandaPruningModifier  # noqa: E402
from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier  # noqa: E402
from llmcompressor.modifiers.transform.awq import AWQModifier  # noqa: E402
from llmcompressor.pipelines.cache import IntermediatesCache  # noqa: E402
from running import Refused, main  # noqa: E402
from task import Setting  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

BATCH = 16  # sequences of one calibration batch: the default of 1 is several times slower here
HEAD = ["lm_head"]
# AWQ asks for pinned memory, which a machine without accelerator does not have; no number changes without it.
IntermediatesCache.pin_memory = lambda self, batch_index, input_names=None: None  # type: ignore[method-assign]


class LlmCompressor:
    package = "llmcompressor"

    def load(self, model: Path, setting: Setting) -> nn.Module:
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def compress(self, loaded: nn.Module, setting: Setting, calibration: Tensor) -> nn.Module:
        recipe = _recipe(setting)
        loader = DataLoader(list(calibration), batch_size=BATCH, collate_fn=_batch)
        data: dict[str, Any] = {
            "dataset": loader,
            "num_calibration_samples": len(calibration),
            "pipeline": "sequential",
        }
        oneshot(model=loaded, recipe=recipe, **(data if setting.method != "rtn" else {"pipeline": "datafree"}))
        return loaded

    def plain(self, compressed: nn.Module, model: Path) -> nn.Module:
        """Weights as the quantized forward pass uses them, in a model without any hooks."""
        result = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        result.load_state_dict({name: _used(compressed, name) for name in result.state_dict()})
        return result


def _recipe(setting: Setting) -> list[Any]:
    known: dict[str, Callable[[Setting], list[Any]]] = {
        "gptq": lambda s: [GPTQModifier(config_groups=_groups(s), ignore=HEAD, actorder=_order(s))],
        "rtn": lambda s: [QuantizationModifier(config_groups=_groups(s), ignore=HEAD)],
        "awq": lambda s: [AWQModifier(), QuantizationModifier(config_groups=_groups(s), ignore=HEAD)],
        "sparsegpt": lambda s: [SparseGPTModifier(**_sparsity(s))],
        "wanda": lambda s: [WandaPruningModifier(**_sparsity(s))],
    }
    if setting.method not in known:
        raise Refused(f"no method {setting.method}")
    return known[setting.method](setting)


def _groups(setting: Setting) -> dict[str, QuantizationScheme]:
    weights = QuantizationArgs(
        num_bits=setting.bits,
        type="int",
        symmetric=setting.symmetric,
        strategy="group" if setting.group_size else "channel",
        group_size=setting.group_size or None,
        observer={"range": "memoryless_minmax", "search": "memoryless_mse"}[setting.scales],
    )
    return {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}


def _order(setting: Setting) -> str | None:
    if setting.order == "group_aware":
        raise Refused("no group-aware order")
    return None if setting.order == "none" else setting.order


def _sparsity(setting: Setting) -> dict[str, Any]:
    share = 0.5 if setting.pattern else setting.sparsity
    return {"sparsity": share, "mask_structure": setting.pattern or "0:0", "ignore": ["re:.*lm_head"]}


def _batch(rows: list[Tensor]) -> dict[str, Tensor]:
    ids = torch.stack(rows)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _used(model: nn.Module, name: str) -> Tensor:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    weight: Tensor = getattr(module, leaf).detach()
    scheme = getattr(module, "quantization_scheme", None)
    if leaf != "weight" or scheme is None or scheme.weights is None:
        return weight
    return forward.forward_quantize(module, weight, "weight", scheme.weights)


if __name__ == "__main__":
    main(LlmCompressor(), STARTED)
