"""Examples with their answers: texts and their classes, inputs and their targets, from JSONL or CSV. No torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from compresslab.data.texts import check_file, read_text
from compresslab.errors import BadInput
from compresslab.files.paths import user_path
from compresslab.models.facts import ModelFacts

CLASSES = 'a JSONL file with lines {"text": "...", "label": "..."} or a CSV file with the columns text,label'
PAIRS = 'a JSONL file with lines {"input": "...", "target": "..."} or a CSV file with the columns input,target'


@dataclass(frozen=True)
class Labelled:
    """A text, or a pair of texts that are read together, and the number of its class."""

    text: str
    label: int
    text_pair: str | None = None


@dataclass(frozen=True)
class Pair:
    """What an encoder-decoder reads, and what it should answer."""

    input: str
    target: str


def needs(facts: ModelFacts) -> str:
    """The file that a model is measured on, where it is not the questions of a causal model; else empty."""
    return {"classification": CLASSES, "seq2seq": PAIRS}.get(facts.task, "")


def check_examples(name: str, facts: ModelFacts) -> None:
    """Raises BadInput where the model can't be measured on that file; reads it again only when it has changed."""
    if not needs(facts):
        check_file(name, questions=True)
        return
    path = user_path(name)
    problem = _problem(name, path.stat().st_mtime_ns if path.exists() else 0, facts)
    if problem:
        raise BadInput(problem)


@lru_cache(maxsize=32)
def _problem(name: str, _changed: int, facts: ModelFacts) -> str:
    read = read_labelled if facts.task == "classification" else read_pairs
    try:
        read(name, facts)
    except BadInput as error:
        return str(error)
    return ""


def read_labelled(name: str, facts: ModelFacts) -> list[Labelled]:
    """Raises BadInput that names the first line that is wrong."""
    numbers = {label: n for n, label in enumerate(facts.labels)}
    return [_labelled(row, numbers, where) for where, row in _rows(name, facts, ("text", "label"))]


def read_pairs(name: str, facts: ModelFacts) -> list[Pair]:
    """Raises BadInput that names the first line that is wrong."""
    rows = _rows(name, facts, ("input", "target"))
    return [Pair(_text(row, "input", where), _text(row, "target", where)) for where, row in rows]


def _labelled(row: dict[str, Any], numbers: dict[str, int], where: str) -> Labelled:
    pair = row.get("text_pair") or None
    return Labelled(
        text=_text(row, "text", where),
        label=_number(row["label"], numbers, where),
        text_pair=None if pair is None else _text(row, "text_pair", where),
    )


def _number(label: Any, numbers: dict[str, int], where: str) -> int:
    """A class by its name, or counted from 0."""
    text = "" if isinstance(label, bool) else str(label).strip()
    if text in numbers:
        return numbers[text]
    if text.isdecimal() and int(text) < len(numbers):
        return int(text)
    known = ", ".join(list(numbers)[:8]) + (", ..." if len(numbers) > 8 else "")
    raise BadInput(
        f"{where}: the label is {label!r}; this model knows {known}, or the numbers 0 to {len(numbers) - 1}."
    )


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if not isinstance(row[key], str) or not row[key].strip():
        raise BadInput(f"{where}: {key} must be a text that is not empty.")
    return str(row[key])


def _rows(name: str, facts: ModelFacts, keys: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Every line with its place, all of the keys there."""
    if name == "bundled":
        kind = "a classifier" if facts.task == "classification" else "an encoder-decoder"
        raise BadInput(f"{facts.name} is {kind}: evaluation.questions must name {needs(facts)}.")
    path = user_path(name)
    read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    rows = list(read(path, keys))
    if not rows:
        raise BadInput(f"There are no examples in {path}; it needs at least one line.")
    return rows


def _json_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{where} is not valid JSON: {error.msg} at column {error.colno}.") from None
        if not isinstance(row, dict) or not set(keys) <= set(row):
            raise BadInput(f"{where} needs the keys {keys[0]} and {keys[1]}.")
        yield where, row


def _csv_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(StringIO(read_text(path).removeprefix("\ufeff"), newline=""), strict=True)
    try:
        if not set(keys) <= set(reader.fieldnames or ()):
            raise BadInput(f"{path}, line 1: the header needs the columns {keys[0]} and {keys[1]}.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if any(row[key] is None for key in keys) or None in row:
                raise BadInput(f"{where} has not as many columns as the header; put texts with commas in quotes.")
            yield where, row
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num} is not valid CSV: {error}.") from None
