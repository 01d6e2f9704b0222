"""Files and folders that appear under their names when they are whole, and not at all before."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compresslab.errors import RunFailed, reason

PART = ".part"  # the ending of what is not whole yet


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Where to write a file that then takes the name `path`, in the place of an older one. Raises OSError.

    Nothing is left behind on failure, and two writers never meet.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{PART}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The whole text in UTF-8, or the file as it was before; its folder is made where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that then takes the name `folder`, in the place of an older one. Raises OSError.

    Nothing is left behind on failure, nor of a process that was killed while it wrote; who takes the new folder away
    again leaves everything as it was.
    """
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if part.exists():
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def part_of(folder: Path) -> Path:
    """What `new_folder` writes to while the folder is not whole."""
    return folder.with_name(folder.name + PART)


@contextmanager
def new_model_folder(folder: Path) -> Iterator[Path]:
    """As `new_folder`, for a model: raises RunFailed where the disk refuses it."""
    try:
        with new_folder(folder) as part:
            yield part
    except OSError as error:
        raise RunFailed("run.not_written", folder=folder.parent, reason=reason(error)) from error
