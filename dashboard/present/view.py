"""What a browser session remembers of the Present page. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from compresslab_dashboard.answers.blind_test import Turn
from compresslab_dashboard.session.url_number import url_number

Mode = Literal["read", "ask", "guess"]
MODES: tuple[Mode, ...] = get_args(Mode)
BASELINE = "baseline"  # stands for the first stop where a run's id is asked for


@dataclass
class Showing:
    """`size` is a run's id, or BASELINE; empty: the page chooses."""

    model: str = ""
    size: str = ""
    prompt: int = 0
    mode: Mode = "read"
    tour: int | None = None  # the step that is shown
    toured: int | None = None  # the step that the slider has followed
    command: int = 0  # counts what the page itself moved: the stage follows
    preparing: bool = False  # sizes are being measured; their answers are still to be written
    watching: bool = False  # work on this page's sizes or answers was under way when it was last drawn
    question: str = ""  # of one's own
    asked: int | None = None  # the generation that answers it
    turn: Turn = field(default_factory=Turn)  # of the blind test

    def take(self, params: Mapping[str, str]) -> None:
        self.model = params.get("model", self.model)
        self.mode = next((mode for mode in MODES if mode == params.get("mode")), self.mode)
        self.asked = url_number(params.get("asked"))
        self.go(params.get("size", self.size), url_number(params.get("prompt")))

    def params(self) -> dict[str, str]:
        """What a reload must bring back."""
        told = {"model": self.model, "size": self.size, "mode": self.mode, "prompt": str(self.prompt)}
        told |= {"asked": "" if self.asked is None else str(self.asked)}
        return {name: value for name, value in told.items() if value}

    def go(self, size: str, prompt: int | None = None) -> None:
        """The page moves the stage."""
        self.size = size
        self.prompt = self.prompt if prompt is None else prompt
        self.command += 1
