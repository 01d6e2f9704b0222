"""Examples with their answers: texts and their classes, inputs and their targets, from JSONL or CSV. No torch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from compresslab.data.texts import check_file, json_of_line
from compresslab.errors import BadInput
from compresslab.files.paths import user_path
from compresslab.files.reading import numbered_lines, read_text
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts

CLASSES = Message("examples.form_classified")
PAIRS = Message("examples.form_answered")


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


def needs(facts: ModelFacts) -> Message | None:
    """The file that a model is measured on, where it is not the questions of a causal model; else None."""
    return {"classification": CLASSES, "seq2seq": PAIRS}.get(facts.task)


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
def _problem(name: str, _changed: int, facts: ModelFacts) -> Message | None:
    read = read_labelled if facts.task == "classification" else read_pairs
    try:
        read(name, facts)
    except BadInput as error:
        return error.message
    return None


def read_labelled(name: str, facts: ModelFacts) -> list[Labelled]:
    """Raises BadInput that names the first line that is wrong."""
    numbers = {label: n for n, label in enumerate(facts.labels)}
    return [_labelled(row, numbers, where) for where, row in _rows(name, facts, ("text", "label"))]


def read_pairs(name: str, facts: ModelFacts) -> list[Pair]:
    """Raises BadInput that names the first line that is wrong."""
    rows = _rows(name, facts, ("input", "target"))
    return [Pair(_text(row, "input", where), _text(row, "target", where)) for where, row in rows]


def _labelled(row: dict[str, Any], numbers: dict[str, int], where: Message) -> Labelled:
    pair = row.get("text_pair") or None
    return Labelled(
        text=_text(row, "text", where),
        label=_number(row["label"], numbers, where),
        text_pair=None if pair is None else _text(row, "text_pair", where),
    )


def _number(label: Any, numbers: dict[str, int], where: Message) -> int:
    """A class by its name, or counted from 0."""
    text = "" if isinstance(label, bool) else str(label).strip()
    if text in numbers:
        return numbers[text]
    if text.isdecimal() and int(text) < len(numbers):
        return int(text)
    known = [*list(numbers)[:8], *(["..."] if len(numbers) > 8 else [])]
    raise BadInput("examples.unknown_label", where=where, label=label, labels=known, last=len(numbers) - 1)


def _text(row: dict[str, Any], key: str, where: Message) -> str:
    if not isinstance(row[key], str) or not row[key].strip():
        raise BadInput("examples.empty_field", where=where, key=key)
    return str(row[key])


def _rows(name: str, facts: ModelFacts, keys: tuple[str, ...]) -> list[tuple[Message, dict[str, Any]]]:
    """Every line with its place, all of the keys there."""
    if name == "bundled":
        kind = Message("model.classifier") if facts.task == "classification" else Message("model.encoder_decoder")
        raise BadInput("examples.needed", name=facts.name, kind=kind, form=needs(facts))
    path = user_path(name)
    read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    rows = list(read(path, keys))
    if not rows:
        raise BadInput("examples.none", path=path)
    return rows


def _json_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Message, dict[str, Any]]]:
    for number, line in numbered_lines(read_text(path)):
        where = Message("place.line", file=path, line=number)
        row = json_of_line(line, where)
        if not isinstance(row, dict) or not set(keys) <= set(row):
            raise BadInput("examples.missing_keys", where=where, first=keys[0], second=keys[1])
        yield where, row


def _csv_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Message, dict[str, Any]]]:
    reader = csv.DictReader(StringIO(read_text(path), newline=""), strict=True)
    try:
        if not set(keys) <= set(reader.fieldnames or ()):
            raise BadInput("examples.header", file=path, first=keys[0], second=keys[1])
        for row in reader:
            where = Message("place.line", file=path, line=reader.line_num)
            if any(row[key] is None for key in keys) or None in row:
                raise BadInput("examples.columns", where=where)
            yield where, row
    except csv.Error as error:
        raise BadInput("examples.not_csv", file=path, line=reader.line_num, reason=error) from None
