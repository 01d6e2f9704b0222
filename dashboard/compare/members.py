"""Who is compared: finished runs, and baselines of their models, each with its name and colour. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.recipes.generation_request import Pane
from compresslab.records.results import Measurement, RunSummary, Variant
from compresslab.records.run_row import RunRow
from compresslab.workspace import Workspace
from compresslab_dashboard.charts.style import BASELINE as GREY
from compresslab_dashboard.charts.style import COMPRESSED, FURTHER
from compresslab_dashboard.compare.comparing import BASELINE
from compresslab_dashboard.recipe.words import model_text, steps_text
from compresslab_dashboard.texts import Words


@dataclass(frozen=True)
class Member:
    """`record` is the run; of a baseline, a run that was measured beside it, or None where there is none."""

    key: str
    name: str
    color: str
    model: str
    record: RunSummary | None

    @property
    def variant(self) -> Variant:
        return "baseline" if self.key.startswith(BASELINE) else "compressed"

    @property
    def weights_hash(self) -> str:
        """Empty while unknown."""
        if self.record is None:
            return ""
        return self.record.baseline_hash if self.variant == "baseline" else self.record.compressed_hash

    def find(self, metric: str) -> Measurement | None:
        return None if self.record is None else self.record.find(metric, self.variant)

    def pane(self) -> Pane:
        """Saved weights; a recipe where they are gone."""
        if self.variant == "baseline" or self.record is None:
            return Pane(label=self.name, source="baseline", model=self.model)
        if self.record.saved_to is None:
            return Pane(label=self.name, source="recipe", model=self.model, recipe=self.record.recipe)
        return Pane(label=self.name, source="run", model=self.model, run_id=self.record.run_id)


def members_of(
    workspace: Workspace, keys: Iterable[str], others: Sequence[RunRow], words: Words
) -> tuple[list[Member], list[Message]]:
    """In that order, and a sentence for everyone who is not there any more. `others` know of their baselines."""
    records: dict[str, RunSummary] = {}
    problems: list[Message] = []
    keys = list(keys)
    for key in keys:
        if not key.startswith(BASELINE):
            try:
                records[key] = workspace.runs.find(key)
            except BadInput as error:
                problems.append(error.message)
    colors = iter((COMPRESSED, *FURTHER))
    found = []
    for key in keys:
        if key in records:
            found.append(Member(key, run_name(records[key], words), next(colors), records[key].model, records[key]))
        elif key.startswith(BASELINE):
            model = key.removeprefix(BASELINE)
            beside = _beside(workspace, model, records.values(), others)
            found.append(Member(key, baseline_name(model, words), GREY, model, beside))
    return found, problems


def _beside(
    workspace: Workspace, model: str, records: Iterable[RunSummary], others: Iterable[RunRow]
) -> RunSummary | None:
    """A run that the model was measured beside; the first of the others is read for it where no one else was."""
    known = next((record for record in records if record.model == model), None)
    listed = next((row.run_id for row in others if row.model == model), None)
    return known or next(iter(workspace.runs.by_id([listed] if listed and known is None else [])), None)


def run_name(record: RunSummary | RunRow, words: Words) -> str:
    return f"{steps_text(record.recipe, words)} · {record.run_id[:6]}"


def baseline_name(model: str, words: Words) -> str:
    return words("compare.baseline", model=model_text(model))


def unlike(names: Sequence[str]) -> list[str]:
    """A table's columns need names of their own."""
    return [name if names.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(names)]
