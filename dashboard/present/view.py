"""What a browser session remembers of the Present page. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from compresslab_dashboard.answers.blind_test import Turn

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

    def go(self, size: str, prompt: int | None = None) -> None:
        """The page moves the stage."""
        self.size = size
        self.prompt = self.prompt if prompt is None else prompt
        self.command += 1
