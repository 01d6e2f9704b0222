"""Texts that a user uploads or pastes: checked, kept whole in the data folder, and shown as they were understood."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from compresslab.data.labelled import check_examples, needs
from compresslab.data.texts import read_questions
from compresslab.errors import BadInput, RunFailed, reason
from compresslab.files.paths import home
from compresslab.files.reading import LARGEST_TEXT, numbered_lines, read_text
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts

Purpose = Literal["calibration", "evaluation", "questions"]
SUFFIXES = (".txt", ".md", ".jsonl", ".csv")
SHOWN = 400  # characters of a text, and of an example


@dataclass(frozen=True)
class OwnText:
    """What a text was understood to be."""

    bytes: int
    words: int
    examples: int | None  # questions or labelled lines; None for a running text
    beginning: str


def understand(content: bytes, name: str, purpose: Purpose, facts: ModelFacts) -> OwnText:
    """Check a text for what it is to be used for; nothing is kept. Raises BadInput that names the first wrong line."""
    with _trial(content, name) as trial:
        return _understood(trial, purpose, facts)


def keep(content: bytes, name: str, purpose: Purpose, facts: ModelFacts) -> Path:
    """Check a text and keep it, the same content once. Raises BadInput, and RunFailed where the disk says no."""
    with _trial(content, name) as trial:
        _understood(trial, purpose, facts)
        return trial.replace(_folder() / f"{hashlib.sha256(content).hexdigest()[:12]}-{trial.name}")


@contextmanager
def _trial(content: bytes, name: str) -> Iterator[Path]:
    """The text as a file, for as long as it is looked at."""
    if len(content) > LARGEST_TEXT:
        raise BadInput("text.upload_too_large", name=name, megabytes=len(content) / 2**20, most=LARGEST_TEXT // 2**20)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput("text.unknown_kind", name=name, suffixes=list(SUFFIXES))
    try:
        with tempfile.TemporaryDirectory(dir=_folder()) as temporary:
            trial = Path(temporary) / f"{_plain(Path(name).stem)}{suffix}"
            trial.write_bytes(content)
            yield trial
    except OSError as error:
        raise RunFailed("text.not_kept", name=name, folder=home(), reason=reason(error)) from error


def _folder() -> Path:
    folder = home() / "texts"
    folder.mkdir(0o700, exist_ok=True)
    return folder


def _understood(path: Path, purpose: Purpose, facts: ModelFacts) -> OwnText:
    """Raises BadInput that names the file as the user does, not the folder of the trial."""
    try:
        text = read_text(path)
        found = OwnText(path.stat().st_size, len(text.split()), None, text[:SHOWN])
        if purpose != "questions":
            return found
        check_examples(str(path), facts)
        count = len(numbered_lines(text)) - (path.suffix == ".csv")
        first = found.beginning if needs(facts) else read_questions(path)[0].prompt[:SHOWN]
        return replace(found, examples=count, beginning=first)
    except BadInput as error:
        raise BadInput(_named(error.message, path)) from None


def _named(said: Message, path: Path) -> Message:
    """The same, with the name of the file in the place of its path."""
    shown = Message("text.no_file", path=path).values["path"]  # a long one is cut where it is said

    def named(value: Any) -> Any:
        if isinstance(value, Message):
            return _named(value, path)
        return path.name if value == shown else value

    return Message(said.code, **{name: named(value) for name, value in said.values.items()})


def _plain(stem: str) -> str:
    """A name that no file system and no shell stumbles over."""
    return re.sub(r"[^\w-]+", "-", stem).strip("-")[:40] or "text"
