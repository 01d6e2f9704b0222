"""What a browser session remembers of the History."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Picked:
    """`runs` are chosen, `deleted` are those that undo would bring back."""

    runs: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    deletions: int = 0

    def take(self, params: Mapping[str, str]) -> None:
        self.runs = [run_id for run_id in params.get("run", "").split(",") if run_id]

    def params(self) -> dict[str, str]:
        return {"run": ",".join(self.runs)} if self.runs else {}
