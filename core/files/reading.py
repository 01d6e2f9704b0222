"""Files that others wrote, each kind read in one way: texts whatever their line ends, JSON however wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput, reason
from compresslab.messages import Message

LARGEST_TEXT = 64 * 2**20  # bytes; a larger file would hold more tokens than any setting here can use


class NotJson(ValueError):
    """`reason` says why; `line` and `column` are where, counted from 1."""

    def __init__(self, reason: str | Message, line: int = 1, column: int = 1) -> None:
        super().__init__(str(reason))
        self.reason, self.line, self.column = reason, line, column


def parse_json(text: str | bytes) -> Any:
    """Raises NotJson, for what is no JSON and for what Python can't hold."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.lineno, error.colno) from None
    except UnicodeDecodeError:
        raise NotJson(Message("json.not_utf8")) from None
    except RecursionError:
        raise NotJson(Message("json.too_deep")) from None
    except ValueError:  # Python reads no whole number of more than some thousand digits
        raise NotJson(Message("json.number_too_long")) from None


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """The text of a UTF-8 file, as it would be had it been saved with plain line feeds and no byte order mark.

    Raises BadInput where it is missing, no file, empty, binary or larger than `most` bytes.
    """
    try:
        if path.is_dir():
            raise BadInput("text.is_folder", path=path)
        if path.exists() and not path.is_file():  # reading a pipe would wait for whoever writes to it
            raise BadInput("text.no_regular_file", path=path)
        size = path.stat().st_size
        if size > most:
            raise BadInput("text.too_large", path=path, megabytes=size / 2**20, most=most // 2**20)
        return decoded(path.read_bytes(), path)
    except FileNotFoundError:
        raise BadInput("text.no_file", path=path) from None
    except PermissionError:
        raise BadInput("text.not_allowed", path=path) from None
    except OSError as error:
        raise BadInput("text.unreadable", path=path, reason=reason(error)) from None


def decoded(content: bytes, path: Path | str) -> str:
    """As `read_text`, for what was read already; `path` is what the sentences call it."""
    try:
        text = with_line_feeds(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadInput("text.not_utf8", path=path, byte=error.start) from None
    if "\x00" in text:
        raise BadInput("text.binary", path=path)
    if not text.strip():
        raise BadInput("text.empty", path=path)
    return text


def with_line_feeds(text: str) -> str:
    """One text, whichever system it was saved on: Windows ends a line with CR LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Lines that are not blank, counted from 1. Only a line feed ends one: U+2028 may stand inside a JSON string."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def read_json(path: Path, most: int = LARGEST_TEXT) -> Any:
    """Of a UTF-8 file. Raises BadInput as `read_text` does, and NotJson."""
    return parse_json(read_text(path, most))
