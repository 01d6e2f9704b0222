"""GPTQModel on CPU: its own load and `quantize`. Run by an interpreter that has it; see README.md."""

from __future__ import annotations

import os
import time

STARTED = time.perf_counter()
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # on two cores its own choice, 1, is refused by its own thread pool

from pathlib import Path  # noqa: E402 - how long the imports take is measured
from typing import Any  # noqa: E402

import torch  # noqa: E402
from gptqmodel import GPTQModel, QuantizeConfig  # noqa: E402
from gptqmodel.quantization.config import AWQConfig, RTNConfig  # noqa: E402
from running import Refused, main  # noqa: E402
from task import Setting  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

BATCH = 16  # sequences of one calibration batch
ORDERS: dict[str, dict[str, Any]] = {
    "none": {"desc_act": False, "act_group_aware": False},
    "static": {"desc_act": True, "act_group_aware": False, "static_groups": True},
    "dynamic": {"desc_act": True, "act_group_aware": False},
    "group_aware": {"desc_act": False, "act_group_aware": True},
}
SEARCH_NORM = 2.4  # of its scale search, as its documentation proposes


class GptqModel:
    package = "gptqmodel"

    def load(self, model: Path, setting: Setting) -> Any:
        return GPTQModel.load(str(model), _config(setting), dtype=torch.float32)

    def compress(self, loaded: Any, setting: Setting, calibration: Tensor) -> nn.Module:
        rows = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in calibration]
        loaded.quantize(rows, batch_size=BATCH, calibration_sort=None)
        result: nn.Module = loaded.model
        return result

    def plain(self, compressed: nn.Module, model: Path) -> nn.Module:
        """Codes times scales in float32, in a plain transformers model."""
        result = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        weights = result.state_dict()
        for name, module in compressed.named_modules():
            if hasattr(module, "dequantize_weight"):
                module.scales = module.scales.float()
                weights[f"{name}.weight"] = module.dequantize_weight().T.float()
            elif isinstance(getattr(module, "weight", None), Tensor):
                weights[f"{name}.weight"] = module.weight.detach().float()
        result.load_state_dict(weights)
        return result


def _config(setting: Setting) -> Any:
    common: dict[str, Any] = {
        "bits": setting.bits,
        "group_size": setting.group_size or -1,
        "sym": setting.symmetric,
        "device": "cpu",
        "offload_to_disk": False,
        "format": "gptq_v2",  # zero points as they are; the older format keeps them less one
    }
    if setting.method == "gptq":
        return QuantizeConfig(**common, **ORDERS[setting.order], mse=SEARCH_NORM if setting.scales == "search" else 0.0)
    if setting.method == "rtn":
        return RTNConfig(**common)
    if setting.method == "awq":
        return AWQConfig(**common)
    raise Refused(f"no method {setting.method}")


if __name__ == "__main__":
    main(GptqModel(), STARTED)
