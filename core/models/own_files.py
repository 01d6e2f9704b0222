"""What may be read of a model's folder: files that are files, and that lie in it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from compresslab.errors import BadInput, reason

MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md"]
MODEL_FILES += ["LICENSE*", "LICENCE*", "NOTICE*"]
TEMPLATES = "additional_chat_templates"  # a folder that transformers reads


def check_files(folder: Path, name: str) -> None:
    """Raises BadInput where something that would be read is a pipe or a device, or a link out of the folder.

    A model comes from a stranger, and what lies beside its weights goes into exports: a link would take along any file
    of whoever exports. The Hub's cache links to its own store of files, in the folder of the same model.
    """
    try:
        room = _room(folder)
        for entry in folder.iterdir():
            if entry.name == TEMPLATES or any(fnmatchcase(entry.name, pattern) for pattern in MODEL_FILES):
                _check(entry, room, name)
        for entry in (folder / TEMPLATES).glob("*"):
            _check(entry, room, name)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise BadInput("model.folder_unreadable", name=name, folder=folder, reason=why) from None


def check_file(entry: Path, folder: Path, name: str) -> None:
    """As `check_files`, of one that the folder holds beside them."""
    try:
        _check(entry, _room(folder), name)
    except (OSError, RuntimeError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise BadInput("model.folder_unreadable", name=name, folder=folder, reason=why) from None


def _check(entry: Path, room: Path, name: str) -> None:
    if entry.is_symlink() and not entry.resolve().is_relative_to(room):
        raise BadInput("model.link", name=name, file=entry.name)
    if entry.exists() and not entry.is_file() and not entry.is_dir():
        raise BadInput("model.no_regular_file", name=name, file=entry.name)


def _room(folder: Path) -> Path:
    """The folder itself; of a snapshot in the Hub's cache the folder of all of the model's snapshots and files."""
    whole = folder.resolve()
    snapshots, model = whole.parent, whole.parent.parent
    return model if snapshots.name == "snapshots" and model.name.startswith("models--") else whole
