"""Texts of a dataset on the Hub, for those who have the `hub` extra: `hub:OWNER/NAME[:CONFIG]:SPLIT`."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.files.reading import with_line_feeds
from compresslab.messages import Message

PREFIX = "hub:"
FORM = Message("dataset.form")
# `datasets` takes a folder of this machine, or the name of a file format, as well: neither is meant, nor would be safe.
DATASET = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LARGEST = 16 * 2**20  # characters; rows after that are not read


@lru_cache(maxsize=4)
def read_hub_text(name: str) -> str:
    """The rows' text, joined by an empty line as WikiText is in GPTQ's protocol. Raises BadInput."""
    parts = name.removeprefix(PREFIX).split(":")
    if len(parts) not in (2, 3) or not all(parts) or not DATASET.fullmatch(parts[0]) or Path(parts[0]).exists():
        raise BadInput("dataset.bad_name", name=name, form=FORM)
    rows = _rows(*parts)
    text = with_line_feeds("\n\n".join(_until_full(rows, name)))
    if not text.strip():
        raise BadInput("text.none", path=name)
    return text


def _rows(dataset: str, *config_and_split: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise BadInput("dataset.needs_package") from None
    *config, split = config_and_split
    try:
        return load_dataset(dataset, *config, split=split, streaming=True)
    except (OSError, ValueError) as error:  # datasets raises these for a name, a split and a missing network
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise BadInput("dataset.not_opened", name=dataset, reason=reason) from None


def _until_full(rows: Any, name: str) -> list[str]:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return []
    column = next((key for key, value in first.items() if isinstance(value, str)), None)
    if column is None:
        raise BadInput("dataset.no_text_column", name=name, columns=list(first))
    total = len(first[column])

    def fits(row: dict[str, Any]) -> bool:
        nonlocal total
        total += len(row[column])
        return total <= LARGEST

    return [first[column], *(row[column] for row in takewhile(fits, iterator))]
