"""A set of prompts, bundled, pasted or uploaded, answered by everyone who is compared, as a table and a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from compresslab.errors import BadInput
from compresslab.files.reading import NotJson, decoded, numbered_lines, parse_json, with_line_feeds
from compresslab.recipes.generation_request import LONGEST_PROMPT, GenerateRequest
from compresslab_dashboard.compare.members import Member, unlike
from compresslab_dashboard.session.job_view import JobView
from compresslab_dashboard.texts import Words

MOST_PROMPTS = 200
LARGEST_FILE = 1 << 20  # bytes


def read_prompts(text: str) -> list[str]:
    """One prompt a line; of JSONL its `prompt` field, or the text itself; or one JSON list. Raises BadInput."""
    if text.lstrip().startswith("["):
        found = _of_list(text)
    else:
        found = [_of_line(line, number) for number, line in numbered_lines(with_line_feeds(text))]
    if not found:
        raise BadInput("prompts.none")
    if len(found) > MOST_PROMPTS:
        raise BadInput("prompts.too_many", count=len(found), most=MOST_PROMPTS)
    return found


def uploaded_prompts(data: bytes, name: str) -> list[str]:
    """As `read_prompts`, of an uploaded file."""
    if len(data) > LARGEST_FILE:
        raise BadInput("prompts.too_large", name=name, megabytes=len(data) / 2**20)
    return read_prompts(decoded(data, name))


def _of_list(text: str) -> list[str]:
    entries = _json(text, 0)
    return [_prompt(entry, f"Entry {number}") for number, entry in enumerate(entries, 1)]


def _of_line(line: str, number: int) -> str:
    if not line.lstrip().startswith("{"):
        return _prompt(line.strip(), f"Line {number}")
    return _prompt(_json(line, number - 1), f"Line {number}")


def _json(text: str, lines_before: int) -> Any:
    try:
        return parse_json(text)
    except NotJson as error:
        line = lines_before + error.line
        raise BadInput("prompts.not_json", line=line, reason=error.reason, column=error.column) from None


def _prompt(entry: Any, where: str) -> str:
    prompt = entry.get("prompt") if isinstance(entry, dict) else entry
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadInput("prompts.no_prompt", where=where)
    if "\x00" in prompt:
        raise BadInput("text.binary", path=where)
    if len(prompt) > LONGEST_PROMPT:
        raise BadInput("prompts.too_long", where=where, count=len(prompt), most=LONGEST_PROMPT)
    return prompt


# -- answers ---------------------------------------------------------------------------------------------------


def written(view: JobView) -> int:
    """Answers that are whole."""
    return sum(pane.done is not None for pane in view.panes.values())


def answers_frame(request: GenerateRequest, view: JobView, words: Words) -> pd.DataFrame:
    """A row a prompt, a column a member; the last counts different answers. Empty where nothing is written yet."""
    names = unlike([pane.label for pane in request.panes])
    rows = [[prompt, *_texts(request, view, place)] for place, prompt in enumerate(request.prompts)]
    return pd.DataFrame(
        [[row[0], *((text or "").strip() for text in row[1:]), _different(row[1:])] for row in rows],
        columns=[words("texts.prompt"), *names, words("compare.different")],
    )


def _different(texts: Sequence[str | None]) -> int | None:
    """How many there are; None before everyone has answered."""
    return None if None in texts else len(set(texts))


def _texts(request: GenerateRequest, view: JobView, place: int) -> list[str | None]:
    first = place * len(request.panes)
    panes = [view.panes.get(first + i) for i in range(len(request.panes))]
    return [pane.done.text if pane and pane.done else None for pane in panes]


def agreement(request: GenerateRequest, view: JobView, members: Sequence[Member]) -> list[tuple[Member, int, int]]:
    """Of every member but the first: answers that are the first's letter by letter, of how many."""
    found = []
    for i, member in enumerate(members[1 : len(request.panes)], 1):
        texts = [_texts(request, view, place) for place in range(len(request.prompts))]
        both = [(row[0], row[i]) for row in texts if row[0] is not None and row[i] is not None]
        found.append((member, sum(first == other for first, other in both), len(both)))
    return found
