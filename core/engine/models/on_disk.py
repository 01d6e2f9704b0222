"""Weights that lie on disk until they are asked for: those of the checkpoint, and those that were changed."""

from __future__ import annotations

import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import psutil
import torch
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import BadInput
from compresslab.files.paths import home
from compresslab.grids.grid import Grid
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

V = TypeVar("V", bound=Tensor | QuantizedWeight)


@dataclass(frozen=True)
class FromCheckpoint:
    """Reads one tensor of a safetensors file, and keeps nothing of it."""

    file: Path
    key: str
    turned: bool  # kept as [in, out]
    model: str

    def __call__(self) -> Tensor:
        with safe_open(self.file, "pt") as opened:
            tensor = usable(opened.get_tensor(self.key), self.key, self.model)
            return tensor.T.contiguous() if self.turned else tensor.clone()  # of its own: the file is let go


def usable(tensor: Tensor, name: str, model: str) -> Tensor:
    """A tensor of a checkpoint, of float64 in float32. Raises BadInput where some of its values are no numbers.

    A sum shows that in one quick pass; it may be infinite, too, where every value is a number.
    """
    tensor = tensor.float() if tensor.dtype == torch.float64 else tensor
    if not tensor.sum(dtype=torch.float32).isfinite() and not tensor.isfinite().all():
        raise BadInput("model.not_finite", name=model, weight=name)
    return tensor


class Spilled:
    """A value in a file of its own, which goes when nobody needs it any more."""

    def __init__(self, value: Tensor | QuantizedWeight) -> None:
        self._grid: Grid | None = value.grid if isinstance(value, QuantizedWeight) else None
        self._file = _folder() / f"{uuid.uuid4().hex}.safetensors"
        self._file.write_bytes(save({name: part.contiguous().cpu() for name, part in _parts(value).items()}))
        weakref.finalize(self, self._file.unlink, missing_ok=True)

    def __call__(self) -> Tensor | QuantizedWeight:
        with safe_open(self._file, "pt") as opened:
            parts = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
        if self._grid is None:
            return parts["value"]
        return QuantizedWeight(parts.pop("codes"), parts, self._grid)


class OnDisk(MutableMapping[str, V], Generic[V]):
    """By name, as if they were in memory. What is put in is written to disk; what is taken out is read anew."""

    def __init__(self, read: Mapping[str, Callable[[], V]], device: torch.device) -> None:
        self._read, self._device = dict(read), device

    def __getitem__(self, name: str) -> V:
        return cast("V", self._read[name]().to(self._device))

    def __setitem__(self, name: str, value: V) -> None:
        self._read[name] = Spilled(value)  # type: ignore[assignment] # it gives back what was put in

    def __delitem__(self, name: str) -> None:
        del self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    def __contains__(self, name: object) -> bool:
        return name in self._read

    def copy(self) -> OnDisk[V]:
        """One of its own, on the same files."""
        return OnDisk(self._read, self._device)


def _parts(value: Tensor | QuantizedWeight) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {"value": value}
    return {"codes": value.codes, **value.parameters}


def _folder() -> Path:
    """Of this process; what processes that were killed have left goes."""
    folder = home() / "spilled" / str(psutil.Process().pid)
    if not folder.exists():
        folder.mkdir(parents=True)
        for other in folder.parent.iterdir():
            if other.name.isdigit() and not psutil.pid_exists(int(other.name)):
                shutil.rmtree(other, ignore_errors=True)
    return folder
