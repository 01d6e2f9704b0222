"""Files and folders that appear under their names when they are whole, and not at all before."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compresslab.errors import RunFailed, reason
from compresslab.files.paths import is_private

PART = ".part"  # the ending of what is not whole yet


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Where to write a file that then takes the name `path`, in the place of an older one. Raises OSError.

    Nothing is left behind on failure, and two writers never meet.
    """
    part = _part(path)
    try:
        yield part
        if is_private(path):
            part.chmod(0o600)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The whole text in UTF-8, or the file as it was before; its folder is made where there is none. Raises OSError."""
    _make(path.parent)
    with new_file(path) as part:
        part.write_text(text, encoding="utf-8")


def keep(path: Path, text: str) -> None:
    """As `write_text`, for what took work to find out: raises RunFailed where the disk refuses it."""
    try:
        write_text(path, text)
    except OSError as error:
        raise RunFailed("file.not_written", file=path, reason=reason(error)) from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that then takes the name `folder`, in the place of an older one. Raises OSError.

    Nothing is left behind on failure, and two writers never meet; who takes the new folder away again leaves everything
    as it was.
    """
    part = _part(folder)
    try:
        _make(folder.parent)
        part.mkdir(0o700 if is_private(folder) else 0o777)
        yield part
        if part.exists():
            _take_the_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make(folder: Path) -> None:
    """With the folders above it: as private as the data folder within it."""
    if is_private(folder):
        for above in reversed(folder.parents):
            if is_private(above):
                above.mkdir(0o700, exist_ok=True)
        folder.mkdir(0o700, parents=True, exist_ok=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)


def _take_the_place(part: Path, folder: Path) -> None:
    """The older folder is out of the way for as long as two names take to change, not until it is deleted."""
    old = _part(folder)
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        with suppress(OSError):
            old.rename(folder)  # where nobody else has put another one there meanwhile
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _part(path: Path) -> Path:
    """A name that says which process of which machine writes there: what it left behind when it was killed is known."""
    return path.with_name(f"{path.name}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{PART}")


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def parts_of(path: Path) -> list[Path]:
    """What was begun to take that name, and is not whole."""
    return [
        part for part in path.parent.glob(f"*{PART}") if part.name.rpartition(".")[0].rpartition(".")[0] == path.name
    ]


def writer_of(part: Path) -> int | None:
    """The process of this machine that writes there; None where that is not known."""
    machine, _, rest = part.name.removesuffix(PART).rpartition(".")[2].partition("-")
    number = rest.partition("-")[0]
    return int(number) if machine == _machine() and number.isdecimal() else None


@contextmanager
def new_model_folder(folder: Path) -> Iterator[Path]:
    """As `new_folder`, for a model: raises RunFailed where the disk refuses it."""
    try:
        with new_folder(folder) as part:
            yield part
    except OSError as error:
        raise RunFailed("run.not_written", folder=folder.parent, reason=reason(error)) from error
