"""What a toolkit is asked to do and what it answers, as files: `task.json`, `tokens.safetensors`, one JSON of rows.

Read by our side and by the peers' own interpreters, so it knows neither: torch and safetensors alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

TOKENS = "tokens.safetensors"
DATA_FREE = ("rtn", "hqq")  # the calibration's seed makes no difference to them


@dataclass(frozen=True)
class Setting:
    """One way to compress every linear layer of the blocks; head and embeddings are left alone."""

    method: str  # gptq, rtn, awq, hqq, sparsegpt, wanda
    bits: int = 0
    group_size: int = 0  # 0: one scale per row
    symmetric: bool = True
    order: str = "none"  # of columns in GPTQ: none, static, dynamic, or group_aware (GPTQModel's own)
    scales: str = "range"  # from the weights' range, or found by a search for the least squared error
    sparsity: float = 0.0
    pattern: str = ""  # N:M

    @property
    def aim(self) -> str:
        """What the user asked for; how a toolkit gets there (order, scales) is its own affair."""
        if self.bits:
            size = f"group {self.group_size}" if self.group_size else "per row"
            return f"{self.method} {self.bits} bits {size} {'symmetric' if self.symmetric else 'asymmetric'}"
        return f"{self.method} {self.pattern or f'{self.sparsity:.0%}'}"


@dataclass(frozen=True)
class Task:
    """Every setting on every seed's calibration sequences, measured on one set of evaluation windows."""

    model: Path
    settings: tuple[Setting, ...]
    calibration: dict[int, Tensor]  # seed -> int64 [samples, length]
    evaluation: Tensor  # int64 [windows, length]
    threads: int
    weights: str = ""  # folder for the float32 weights that every run leaves; empty: none are kept

    @property
    def runs(self) -> list[tuple[Setting, int]]:
        """Every setting with every seed that makes a difference to it."""
        seeds = list(self.calibration)
        return [(s, seed) for s in self.settings for seed in (seeds[:1] if s.method in DATA_FREE else seeds)]

    def keep(self, model: nn.Module, setting: Setting, seed: int) -> None:
        """The linear layers of a compressed model, so that codes and masks of two toolkits can be compared."""
        if self.weights:
            linear = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and name != "lm_head"}
            matrices = {f"{name}.weight": module.weight.detach().contiguous() for name, module in linear.items()}
            name = f"{setting.aim} {setting.order} {setting.scales} {seed}.safetensors"
            save_file(matrices, Path(self.weights) / name.replace(" ", "_").replace(":", "of"))

    def write(self, folder: Path) -> Path:
        tensors = {f"calibration.{seed}": ids.contiguous() for seed, ids in self.calibration.items()}
        save_file(tensors | {"evaluation": self.evaluation.contiguous()}, folder / TOKENS)
        plain = {
            "model": str(self.model),
            "settings": [asdict(setting) for setting in self.settings],
            "threads": self.threads,
            "weights": self.weights,
        }
        file = folder / "task.json"
        file.write_text(json.dumps(plain, indent=1), encoding="utf-8")
        return file

    @classmethod
    def read(cls, file: Path) -> Task:
        plain: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        tensors = load_file(file.parent / TOKENS)
        return cls(
            Path(plain["model"]),
            tuple(Setting(**values) for values in plain["settings"]),
            {int(name.partition(".")[2]): ids for name, ids in tensors.items() if name != "evaluation"},
            tensors["evaluation"],
            plain["threads"],
            plain["weights"],
        )
