"""What the page shows, put together from the store once for every full run of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compresslab.data.texts import example_prompts
from compresslab.errors import CompresslabError
from compresslab.models.source import BUNDLED
from compresslab.records.results import RunSummary
from compresslab.workspace import Workspace
from compresslab_dashboard.answers.word_diff import Piece, differing
from compresslab_dashboard.present import ladder
from compresslab_dashboard.present.ladder import Written
from compresslab_dashboard.present.plain import Plain, plain, untouched
from compresslab_dashboard.present.sizes import Size, models_with_sizes, sizes_of
from compresslab_dashboard.present.stage import Prompt
from compresslab_dashboard.present.view import BASELINE, Showing
from compresslab_dashboard.texts import Words

MOST_RUNS = 2000
HARDLY_WORSE = 5.0  # percent of quality: where a first look at the page begins


@dataclass(frozen=True)
class Prepared:
    """One model's sizes, the largest first; stop 0 of the slider is its baseline, stop i the size before i."""

    model: str
    models: list[str]
    sizes: list[Size]
    records: list[RunSummary]  # of the sizes
    stops: list[Plain]
    prompts: list[Prompt]
    written: Written

    @property
    def lacking(self) -> bool:
        """Some answer is not recorded."""
        return bool(ladder.unwritten(self.records, self.written))

    def stop_of(self, size: str) -> int:
        """Where the slider stands for a run's id; for one that is not among the sizes, where a first look begins."""
        ids = self.ids
        return ids.index(size) if size in ids else self.first_look

    @property
    def ids(self) -> list[str]:
        return [BASELINE, *(size.run.run_id for size in self.sizes)]

    @property
    def first_look(self) -> int:
        """The smallest that is hardly worse."""
        return max((i for i, size in enumerate(self.sizes, 1) if size.loss <= HARDLY_WORSE), default=1)


def prepare(workspace: Workspace, showing: Showing, words: Words) -> Prepared:
    runs = workspace.runs.rows(limit=MOST_RUNS)
    models = models_with_sizes(runs)
    model = showing.model if showing.model in models else models[0] if models else showing.model or BUNDLED
    sizes = sizes_of(runs, model)
    read = {record.run_id: record for record in workspace.runs.by_id(size.run.run_id for size in sizes)}
    sizes = [size for size in sizes if size.run.run_id in read]  # another may delete one meanwhile
    shown: list[RunSummary] = [read[size.run.run_id] for size in sizes]
    hashes = {weights for record in shown for weights in (record.baseline_hash, record.compressed_hash)}
    written = ladder.written(workspace.texts.recorded(hashes)) if shown else {}
    stops = (
        [untouched(shown[0], words), *(plain(read[size.run.run_id], size.share, words) for size in sizes)]
        if shown
        else []
    )
    return Prepared(model, models, sizes, shown, stops, _prompts(shown, written, words) if written else [], written)


def writes(workspace: Workspace, model: str) -> bool:
    """Whether the model writes text at all."""
    try:
        return workspace.models.facts(model).task != "classification"
    except CompresslabError:
        return True


def _prompts(records: Sequence[RunSummary], written: Written, words: Words) -> list[Prompt]:
    """Every prepared prompt that the baseline has answered."""
    return [
        Prompt(words.known(f"prompt.{given['label']}", given["label"]), given["prompt"], texts)
        for given in example_prompts()
        if (texts := _texts(given["prompt"], records, written))[0] is not None
    ]


def _texts(prompt: str, records: Sequence[RunSummary], written: Written) -> tuple[tuple[Piece, ...] | None, ...]:
    first = written.get((prompt, records[0].baseline_hash))
    if first is None:
        return (None,) * (1 + len(records))
    told = [written.get((prompt, record.compressed_hash)) for record in records]
    own = (Piece(first.strip(), False),)
    return (own, *(None if text is None else tuple(differing(first.strip(), text.strip())) for text in told))
