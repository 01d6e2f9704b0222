"""What a toolkit is asked to do and what it answers, as files: `task.json`, `tokens.safetensors`, one JSON of rows.

Read by our side and by the peers' own interpreters, so it knows neither: torch and safetensors alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

TOKENS = "tokens.safetensors"


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
    save_weights: str = ""  # folder for float32 weights of every run; empty: none are kept

    def write(self, folder: Path) -> Path:
        tensors = {f"calibration.{seed}": ids.contiguous() for seed, ids in self.calibration.items()}
        save_file(tensors | {"evaluation": self.evaluation.contiguous()}, folder / TOKENS)
        plain = {
            "model": str(self.model),
            "settings": [asdict(setting) for setting in self.settings],
            "threads": self.threads,
            "save_weights": self.save_weights,
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
            plain["save_weights"],
        )
