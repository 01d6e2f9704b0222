"""What a reader must know before believing the numbers of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compresslab.messages import Message
from compresslab.records.results import RunRecord
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.texts import Words


def caveats(records: Sequence[RunRecord], words: Words) -> list[str]:
    """One sentence each, none twice: the general ones first, then what the runs themselves said."""
    said = [words("report.caveat.errors"), words("report.caveat.paired")]
    said += [words("report.caveat.dataset", names=_joined(_datasets(records, words), words))]
    said += _about_speed(records, words) + _about_comparing(records, words)
    said += [words.said(notice) for record in records for notice in record.notices]
    return list(dict.fromkeys(said))


def _about_speed(records: Sequence[RunRecord], words: Words) -> list[str]:
    timed = [m for record in records for m in record.measurements if m.unit == "tokens/s"]
    simulated = any(m.kernel == "simulated" for m in timed)
    said = [words("report.caveat.simulated")] if simulated else []
    notes = sorted({words.said(m.note) for m in timed} - {""})
    return said + [words("report.caveat.speed", note=note) for note in notes]


def _about_comparing(records: Sequence[RunRecord], words: Words) -> list[str]:
    said = []
    if len({record.model for record in records}) > 1:
        said.append(words("report.caveat.models"))
    if len({record.hardware.device_name for record in records}) > 1:
        said.append(words("report.caveat.machines"))
    if any(len(_measured_on(metric, records)) > 1 for metric in ("perplexity", "accuracy")):
        said.append(words("report.caveat.texts"))
    unmeasured = [steps_text(record.recipe, words) for record in records if not record.find("perplexity")]
    if unmeasured:
        said.append(words("report.caveat.unmeasured", names=_joined(unmeasured, words)))
    return said


def _measured_on(metric: str, records: Sequence[RunRecord]) -> set[Message | None]:
    return {m.dataset for record in records for m in record.measurements if m.metric == metric}


def _datasets(records: Sequence[RunRecord], words: Words) -> list[str]:
    names = {m.dataset for record in records for m in record.measurements if m.dataset}
    return sorted(words.said(name) for name in names)


def _joined(names: Iterable[str], words: Words) -> str:
    return words("verdict.comma").join(names)
