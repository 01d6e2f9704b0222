"""What was said in a chat, turn by turn, and the form that a model can be asked in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from compresslab.errors import BadInput
from pydantic import BaseModel, ConfigDict, ValidationError


class Turn(BaseModel):
    """One message, under the names that chat templates use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Conversation:
    """Turns that end with a question, and the template of the tokenizer that renders them; None: its first.

    Raises BadInput for turns that do not alternate, or have no question at their end.
    """

    turns: tuple[Turn, ...]
    template: str | None = None

    def __post_init__(self) -> None:
        spoken = self.turns[1:] if self.turns and self.turns[0].role == "system" else self.turns
        first = len(self.turns) - len(spoken) + 1
        for place, (turn, role) in enumerate(zip(spoken, cycle(("user", "assistant")), strict=False), first):
            if turn.role != role:
                raise BadInput("chat.not_alternating", place=place, given=turn.role, wanted=role)
        if not spoken or spoken[-1].role != "user":
            raise BadInput("chat.no_question")


def parse_turns(messages: Iterable[Any]) -> tuple[Turn, ...]:
    """Messages as dictionaries with `role` and `content`. Raises BadInput, with the place of the first that is none."""
    return tuple(_turn(message, place) for place, message in enumerate(messages, 1))


def _turn(message: Any, place: int) -> Turn:
    try:
        return Turn.model_validate(message)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput("chat.no_message", place=place, where=where or "message", reason=first["msg"]) from None
