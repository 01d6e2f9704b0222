"""Statistics of inputs as safetensors: written group by group, read when they are asked for.

A symmetric or triangular array is packed: the rows of what lies on and above its diagonal, one after the other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from compresslab.engine.inputs.calibration import HESSIAN, Arrays, Group, InputStatistics, Say
from compresslab.engine.lru import LruCache, get_or_make
from compresslab.errors import first_line
from compresslab.errors import reason as reason_of
from compresslab.files.atomic import new_file, new_folder
from compresslab.messages import Message
from compresslab.profiles import statistics_files as files
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FACTOR = "factor"
Measured = Iterator[tuple[Group, InputStatistics]]
Found = dict[Group, InputStatistics]


@dataclass(frozen=True)
class StatisticsStore:
    """The statistics of one fingerprint."""

    id: str
    about: dict[str, Any]  # of what they were taken: model, text, samples, sequence_length
    device: torch.device
    memory: LruCache[Tensor]  # unpacked arrays
    notice: Say
    check: Callable[[], None]
    _failed: list[Message] = field(default_factory=list)

    def kept_or(self, measure: Callable[[], Measured], need: int) -> Found:
        """What is on disk; else what is measured now, and kept there unless its `need` in bytes is too much for it."""
        try:
            with files.locked(self.id, self._waiting()):
                found = self._read()
                return found if found is not None else self._written(_marked(measure()), need)
        except _NotMeasured as failed:
            raise failed.error from None
        except OSError as error:
            self._not_kept(reason_of(error))
            return dict(measure())

    # -- writing ------------------------------------------------------------------------

    def _written(self, measured: Measured, need: int) -> Found:
        """Each group goes to the disk as soon as it is known; where that fails it stays in memory, with a notice."""
        if not files.make_room(need, self.id):
            allowed = files.room() / 1e9
            self._not_kept(Message("statistics.too_large", needed=need / 1e9, variable=files.ROOM, allowed=allowed))
            return dict(measured)
        found: Found = {}
        with new_folder(self._place) as part:
            for number, (group, statistics) in enumerate(measured):
                found[group] = self._through_disk(part, number, statistics)
            if self._failed:
                shutil.rmtree(part)  # open files can still be read
            else:
                files.write_about(part, self.about | {"groups": list(found)})
        return found

    def _through_disk(self, part: Path, number: int, statistics: InputStatistics) -> InputStatistics:
        if self._failed:
            return statistics
        file = part / _file(number)
        try:
            save_file(_plain(statistics), file, {"tokens": str(statistics.tokens)})
            return self._opened(file)
        except (OSError, SafetensorError) as error:
            self._not_kept(reason_of(error) if isinstance(error, OSError) else first_line(error))
            return statistics

    def _not_kept(self, reason: Message) -> None:
        self._failed.append(reason)
        self.notice(Message("statistics.not_kept", reason=reason))

    # -- reading ------------------------------------------------------------------------

    def _read(self) -> Found | None:
        """None where there are none, or not all of them can be read."""
        try:
            about = json.loads((self._place / files.ABOUT).read_text(encoding="utf-8"))
            groups = [tuple(group) for group in about["groups"]]
            found = {group: self._opened(self._place / _file(n)) for n, group in enumerate(groups)}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            shutil.rmtree(self._place, ignore_errors=True)
            return None
        files.touch(self.id)
        return found

    def _opened(self, file: Path) -> InputStatistics:
        handle = safe_open(file, "pt")
        small = {name: handle.get_tensor(name).clone().to(self.device) for name in ("mean", "peaks", "norms")}
        arrays = _DiskArrays(self._place / file.name, handle, self.memory, self.device)
        return InputStatistics(int(handle.metadata()["tokens"]), **small, arrays=arrays)

    @property
    def _place(self) -> Path:
        return files.folder() / self.id

    def _waiting(self) -> Iterable[None]:
        """While another process takes the same statistics."""
        while True:
            self.check()
            yield


class _NotMeasured(Exception):
    """Measuring itself has failed: nothing is wrong with where it should be kept."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


def _marked(measured: Measured) -> Measured:
    """The same; an OSError of theirs, as where a model that lies on disk can't be read, is told from one in keeping."""
    try:
        yield from measured
    except OSError as error:
        raise _NotMeasured(error) from error


class _DiskArrays(Arrays):
    """Arrays of one input that lie on disk, and in memory as long as there is room. Factors have files of their own."""

    def __init__(self, file: Path, handle: Any, memory: LruCache[Tensor], device: torch.device) -> None:
        super().__init__()
        self._file, self._handle, self._memory, self._device = file, handle, memory, device
        self._names = frozenset(handle.keys())

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def get(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        return get_or_make(self._memory, (self._file, self._device, name), lambda: self._read_or(name, make))

    def _read_or(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        if name == HESSIAN:
            upper = self._hessian() if name in self else make()
            return (upper + upper.triu(1).T).to(self._device)
        file = self._file.with_name(f"{self._file.stem}-{name.replace(' ', '-')}.safetensors")
        with suppress(OSError, SafetensorError), safe_open(file, "pt") as handle:
            return unpacked(handle.get_tensor(FACTOR)).to(self._device)
        made = make()
        self._write(file, made)
        return made

    def _hessian(self) -> Tensor:
        """From the file opened anew, so that its pages do not stay; what was cleared can still be read where it is."""
        with suppress(OSError, SafetensorError), safe_open(self._file, "pt") as handle:
            return unpacked(handle.get_tensor(HESSIAN))
        return unpacked(self._handle.get_tensor(HESSIAN))

    def _write(self, file: Path, factor: Tensor) -> None:
        """Lost where the disk is full or the statistics were cleared: it can be made again."""
        rows = packed(factor)
        with suppress(OSError, SafetensorError):
            if files.make_room(rows.nbytes, keep=file.parent.name):
                with new_file(file) as part:
                    save_file({FACTOR: rows}, part)


def packed(array: Tensor) -> Tensor:
    """[d, d] -> [d * (d + 1) / 2], on the CPU."""
    array = array.cpu()
    return torch.cat([array[row, row:] for row in range(len(array))])


def unpacked(rows: Tensor) -> Tensor:
    """[d * (d + 1) / 2] -> [d, d], zero below the diagonal."""
    d = int((2 * len(rows)) ** 0.5)
    array = rows.new_zeros(d, d)
    first = 0
    for row in range(d):
        array[row, row:] = rows[first : first + d - row]
        first += d - row
    return array


def _plain(statistics: InputStatistics) -> dict[str, Tensor]:
    small = {"mean": statistics.mean.cpu(), "peaks": statistics.peaks.cpu(), "norms": statistics.norms.cpu()}
    return small | ({HESSIAN: packed(statistics.hessian)} if HESSIAN in statistics.arrays else {})


def _file(number: int) -> str:
    return f"{number:05d}.safetensors"
