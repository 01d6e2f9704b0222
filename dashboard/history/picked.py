"""What a browser session remembers of the History."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compresslab.store.runs import Order

ORDERS: tuple[Order, ...] = ("newest", "smallest", "best")


@dataclass
class Picked:
    """`runs` are chosen, `deleted` are those that undo would bring back; `page` counts from 0."""

    runs: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    deletions: int = 0
    order: Order = "newest"
    page: int = 0

    def take(self, params: Mapping[str, str]) -> None:
        self.runs = [run_id for run_id in params.get("run", "").split(",") if run_id]

    def params(self) -> dict[str, str]:
        return {"run": ",".join(self.runs)} if self.runs else {}
