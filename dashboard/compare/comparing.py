"""What a browser session remembers of the Compare page. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from compresslab_dashboard.answers.blind_test import Turn
from compresslab_dashboard.session.url_number import url_number

View = Literal["answers", "numbers", "recipes", "prompts", "blind"]
VIEWS: tuple[View, ...] = get_args(View)
MOST = 6
BASELINE = "baseline:"  # before a model's name: its baseline, where else the id of a run stands


@dataclass
class Comparing:
    """`members` are ids of runs, or BASELINE with a model, in the order in which they stand."""

    members: list[str] = field(default_factory=list)
    view: View = "answers"
    texts: int | None = None  # the generation that is shown
    batch: int | None = None  # the prompt set that is shown
    race: int = 0  # counts the races
    turn: Turn = field(default_factory=Turn)  # of the blind test

    def choose(self, members: list[str]) -> None:
        """Texts of others stay until new ones are written: the page says of whom they are."""
        if members != self.members:
            self.members, self.texts, self.batch, self.turn = members[:MOST], None, None, Turn()

    def take(self, params: Mapping[str, str]) -> None:
        members = list(dict.fromkeys(name for name in params.get("runs", "").split(",") if name))
        if members:
            self.choose(members)
        self.view = next((view for view in VIEWS if view == params.get("view")), self.view)
        self.texts = url_number(params.get("texts")) or self.texts
        self.batch = url_number(params.get("set")) or self.batch

    def params(self) -> dict[str, str]:
        """What a reload, and a colleague's link, must bring back."""
        found = {"runs": ",".join(self.members), "view": "" if self.view == "answers" else self.view}
        found |= {"texts": str(self.texts or ""), "set": str(self.batch or "")}
        return {name: value for name, value in found.items() if value}
