"""What one browser session explores: the settings it has chosen, and the sweep, measures and point it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compresslab.messages import Message
from compresslab.recipes.sweep import SweepStage, Value
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.session.url_number import url_number

RUNS = "runs"  # in place of a sweep: all final runs of the model
MOST_COMPARED = 6


@dataclass
class Plan:
    """What a choice of settings comes to, before anything is run."""

    run: int = 0
    aside: list[str] = field(default_factory=list)  # the points that make no sense, each with its reason
    seconds: float | None = None  # of one point
    problem: Message | None = None


@dataclass
class Exploring:
    """`source` is the number of a sweep, RUNS, or "" for the newest sweep there is."""

    source: str = ""
    point: str | None = None  # name of a dot
    quality: str = "perplexity"
    cost: str = "size"
    panel: Value | None = None  # of a third setting with many values: the one that is drawn
    paths: list[str] | None = None  # of the settings to sweep over; None: not chosen yet
    values: dict[str, tuple[Value, ...]] = field(default_factory=dict)  # by path
    stage: SweepStage = "draft"
    deleted: int | None = None  # the sweep that undo would bring back
    compare: list[str] = field(default_factory=list)  # runs, in the order in which they were added
    plans: dict[str, Plan] = field(default_factory=dict)  # by the sweep's JSON
    leaving: tuple[str, dict[str, str]] | None = None  # for another page, with its URL's parameters

    @property
    def sweep(self) -> int | None:
        return url_number(self.source)

    def look_at(self, source: str) -> None:
        if source != self.source:
            self.source, self.point, self.panel = source, None, None

    def add_to_compare(self, run_id: str) -> None:
        """The last few: a comparison has no room for more."""
        self.compare = [*(run for run in self.compare if run != run_id), run_id][-MOST_COMPARED:]

    # -- the address -------------------------------------------------------------------

    def take(self, params: Mapping[str, str]) -> None:
        """An address that names no sweep, as the back button may bring, leaves what is looked at."""
        source = params.get("sweep", "")
        if url_number(source) is not None or source == RUNS:
            self.look_at(source)
            self.point = params.get("point")
        for name, about in (("quality", "quality"), ("cost", "cost")):
            measure = MEASURES.get(params.get(name, ""))
            if measure is not None and measure.about == about:
                setattr(self, name, measure.name)

    def params(self) -> dict[str, str]:
        """What a reload must bring back."""
        found = {"sweep": self.source, "point": self.point or ""}
        if (self.quality, self.cost) != (Exploring.quality, Exploring.cost):
            found |= {"quality": self.quality, "cost": self.cost}
        return {name: value for name, value in found.items() if value}
