"""What core says to people: a code and its values. The sentence stands in a catalogue, one for each language.

`Message("model.no_config", name="mine", folder="/models/mine")` is plain data: it is raised, kept in events and
records, and becomes a sentence where it is shown. `str(message)` is its English, `message.in_language("zh")` another
language, which falls back to English sentence by sentence. A code that no catalogue has is its own template, so that
another package may write a sentence where it says it: `BadInput("The mask of {name} is empty.", name=name)`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from numbers import Integral, Real
from pathlib import PurePath
from string import Formatter
from typing import TYPE_CHECKING, Any

from compresslab.messages.catalogue import template

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Message", "message", "plain", "remarks"]

_ENGLISH = "en"
CUT = "…"
ENGLISH_BESIDE = "text"  # a key that --json adds to a message
# What a user or a stranger's file gave is repeated as far as it says something, and never takes a page or a line of a
# log for itself: letters of a text, of a path, of what another program said; entries of a list; lists within lists.
MOST_GIVEN, MOST_OF_PATH, MOST_SAID, MOST_LISTED, DEEPEST = 80, 160, 240, 40, 3
MOST_BITS = 256  # of a whole number; Python refuses to write one of some thousand digits
# How a field of a template joins a list: {names}, {names:and}, {names:or}, {notes:remarks}.
_JOINTS = {"": "list.comma", "and": "list.and", "or": "list.or", "remarks": "list.remarks"}


@dataclass(frozen=True, init=False)
class Message:
    """One thing to say. Values are numbers, texts, lists and further messages; whatever else is given becomes text.

    Texts are one line, and long ones lose their middle.
    """

    code: str
    values: Mapping[str, Any]

    def __init__(self, code: str, /, **values: Any) -> None:
        object.__setattr__(self, "code", code)
        most = MOST_SAID if code == "plain" else MOST_GIVEN
        object.__setattr__(self, "values", {name: _value(value, most) for name, value in values.items()})

    def __hash__(self) -> int:
        return hash(self.code)

    def __str__(self) -> str:
        return self.in_language(_ENGLISH)

    def in_language(self, language: str) -> str:
        text = _template(language, self.code, self.values.get("count"))
        if text is None and not self.values:
            return self.code
        return _Speaker(language).vformat(self.code if text is None else text, (), self.values)

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "values": {name: _to_json(value) for name, value in self.values.items()}}

    @staticmethod
    def from_json(data: Message | Mapping[str, Any] | str) -> Message:
        """What `to_json` gave. A text is taken as it is, in every language. Raises ValueError for anything else."""
        if isinstance(data, Message):
            return data
        if isinstance(data, str):
            return plain(data)
        if not _is_message(data):
            raise ValueError("a message has a code and values")
        read = Message(data["code"])
        object.__setattr__(read, "values", _Read(data["values"]))
        return read

    def dumps(self) -> str:
        """For a column of text."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    @staticmethod
    def loads(text: str) -> Message:
        """What `dumps` gave; a text of another kind is taken as it is."""
        try:
            return Message.from_json(json.loads(text))
        except ValueError:
            return plain(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """So that a field of a record can be a message."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.from_json, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json)
        )


def message(said: Message | str, /, **values: Any) -> Message:
    """A message as it is, or the one of that code with these values."""
    return said if isinstance(said, Message) else Message(said, **values)


def plain(text: object) -> Message:
    """What is the same in every language: a name, a path, what another library said."""
    return Message("plain", text=str(text))


def remarks(*notes: Message | None) -> Message | None:
    """Several notes as one; None where there are none."""
    said = [note for note in notes if note is not None]
    return Message("remarks", notes=said) if len(said) > 1 else next(iter(said), None)


class _Read(Mapping[str, Any]):
    """Values as JSON had them, each made what it means when it is asked for: of thousands read, few are said."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self._plain = plain

    def __getitem__(self, name: str) -> Any:
        return _meant(self._plain[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)

    def __repr__(self) -> str:
        return repr(dict(self))


class _Speaker(Formatter):
    """Fills templates in one language: messages within messages, and lists joined as that language joins them."""

    def __init__(self, language: str) -> None:
        self._language = language

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """`{given!r}` of a list is longer than any of its entries."""
        if conversion is None or isinstance(value, Message):
            return value
        return _shortened(super().convert_field(value, conversion), MOST_GIVEN + 2)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Message):
            return value.in_language(self._language)
        if isinstance(value, list):
            return self._joined([self.format_field(part, "") for part in value], _JOINTS[format_spec])
        return format(value, format_spec if isinstance(value, Real) else "")

    def _joined(self, parts: list[str], joint: str) -> str:
        if len(parts) < 2:
            return "".join(parts)
        first = self._joined(parts[:-1], "list.comma" if joint in ("list.and", "list.or") else joint)
        return str(_template(self._language, joint)).format(left=first, right=parts[-1])


def _template(language: str, code: str, count: object = None) -> str | None:
    """In that language, else in English."""
    found = (template(tongue, code, count) for tongue in (language, _ENGLISH))
    return next((text for text in found if text is not None), None)


def _value(value: Any, most: int = MOST_GIVEN, depth: int = 0) -> Any:
    """As JSON can hold it and people can read it."""
    if value is None or isinstance(value, bool | Message):
        return value
    if isinstance(value, str | PurePath):
        return _shortened(str(value), most if isinstance(value, str) else MOST_OF_PATH)
    if isinstance(value, Integral):
        return int(value) if int(value).bit_length() <= MOST_BITS else Message("number.long")
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping) and _is_message(value):
        return Message.from_json(value)
    return _container(value, depth) if isinstance(value, Iterable) else _shortened(str(value), most)


def _meant(value: Any) -> Any:
    """What JSON had, as `_value` had made it."""
    if isinstance(value, Mapping):
        return Message.from_json(value) if _is_message(value) else {key: _meant(of) for key, of in value.items()}
    return [_meant(part) for part in value] if isinstance(value, list) else value


def _container(value: Iterable[Any], depth: int) -> Any:
    if depth == DEEPEST:
        return CUT
    if isinstance(value, Mapping):
        first = islice(value.items(), MOST_LISTED)
        return {_shortened(str(key), MOST_GIVEN): _value(of, depth=depth + 1) for key, of in first}
    listed = [_value(part, depth=depth + 1) for part in islice(value, MOST_LISTED + 1)]
    return listed if len(listed) <= MOST_LISTED else [*listed[:MOST_LISTED], CUT]


def _shortened(text: str, most: int) -> str:
    """On one line; of a long one its beginning and its end, which tell names of files apart."""
    if len(text) > most:
        text = text[: most * 5 // 8] + CUT + text[len(text) - most * 3 // 8 + 1 :]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)


def _is_message(value: Mapping[str, Any]) -> bool:
    beside = 1 if ENGLISH_BESIDE in value else 0
    return len(value) == 2 + beside and isinstance(value.get("code"), str) and isinstance(value.get("values"), Mapping)


def _to_json(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, dict):
        return {key: _to_json(of) for key, of in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return [_to_json(part) for part in value] if isinstance(value, list) else value
