"""HQQ on CPU: its quantizer for transformers models. Run by an interpreter that has it; see README.md."""

from __future__ import annotations

import time

STARTED = time.perf_counter()

from pathlib import Path  # noqa: E402 - how long the imports take is measured

import torch  # noqa: E402
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear  # noqa: E402
from hqq.models.hf.base import AutoHQQHFModel  # noqa: E402
from running import Refused, main  # noqa: E402
from task import Setting  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


class Hqq:
    package = "hqq"

    def load(self, model: Path, setting: Setting) -> nn.Module:
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def compress(self, loaded: nn.Module, setting: Setting, calibration: Tensor) -> nn.Module:
        if setting.method != "hqq":
            raise Refused(f"no method {setting.method}")
        if setting.symmetric:
            raise Refused("no symmetric grid")
        config = BaseQuantizeConfig(nbits=setting.bits, group_size=setting.group_size or None, axis=1)
        AutoHQQHFModel.quantize_model(loaded, quant_config=config, compute_dtype=torch.float32, device="cpu")
        return loaded

    def plain(self, compressed: nn.Module, model: Path) -> nn.Module:
        result = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        weights = result.state_dict()
        for name, module in compressed.named_modules():
            if isinstance(module, HQQLinear):
                weights[f"{name}.weight"] = module.dequantize().float()
        result.load_state_dict(weights)
        return result


if __name__ == "__main__":
    main(Hqq(), STARTED)
