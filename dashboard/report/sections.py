"""The parts of a report as HTML. Every text that is not ours goes through `escape`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

import pandas as pd
from compresslab.files import plain_yaml
from compresslab.records.results import RunRecord
from compresslab.store.recorded_answers import RecordedAnswer
from compresslab_dashboard.answers.word_diff import differing
from compresslab_dashboard.charts.style import BASELINE
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.report.figures import color_of, run_name
from compresslab_dashboard.results.tables import machine_table, measurements_table, stages_table
from compresslab_dashboard.results.verdict import make_verdict, verdict_html
from compresslab_dashboard.texts import Words, formats

MOST_TEXTS = 8


def title(records: Sequence[RunRecord], words: Words) -> str:
    models = ", ".join(dict.fromkeys(record.model for record in records))
    recipes = " / ".join(steps_text(record.recipe, words) for record in records)
    return f"{models}: {recipes}"


def head(records: Sequence[RunRecord], words: Words) -> str:
    last = max(datetime.fromisoformat(record.created) for record in records)
    said = words("report.head", date=f"{last:%Y-%m-%d %H:%M} UTC", count=len(records))
    return f'<header class="head"><p>{escape(said)}</p><h1>{escape(title(records, words))}</h1></header>'


def verdicts(records: Sequence[RunRecord], words: Words) -> str:
    """One sentence and three cards for one run; a sentence each for several."""
    if len(records) == 1:
        return verdict_html(make_verdict(None, records[0].measurements, words), words)
    rows = "".join(
        f'<li style="--run: {color_of(place)}"><b>{escape(run_name(place, record, words))}</b>'
        f" {escape(make_verdict(None, record.measurements, words).sentence)}</li>"
        for place, record in enumerate(records)
    )
    return f'<ol class="runs">{rows}</ol>'


# -- texts -----------------------------------------------------------------------------------------------------


def texts(records: Sequence[RunRecord], answers: Sequence[RecordedAnswer], words: Words) -> str:
    """For every prompt that the baseline and a run were recorded on: both texts, the differing words marked."""
    asked = list(dict.fromkeys((answer.prompt, answer.decoding) for answer in answers))
    written = {(a.prompt, a.decoding, a.weights_hash): a for a in answers}
    parts = []
    for prompt, decoding in asked:
        told = [written.get((prompt, decoding, record.compressed_hash)) for record in records]
        first = written.get((prompt, decoding, records[0].baseline_hash))
        if first is not None and any(answer is not None for answer in told):
            parts.append(_side_by_side(prompt, first, told, records, words))
    if not parts:
        return ""
    return f"<section><h2>{escape(words('report.texts'))}</h2>{''.join(parts[:MOST_TEXTS])}</section>"


def _side_by_side(
    prompt: str,
    first: RecordedAnswer,
    told: Sequence[RecordedAnswer | None],
    records: Sequence[RunRecord],
    words: Words,
) -> str:
    panes = [_pane(words("variant.baseline"), BASELINE, escape(first.shown), words.said(first.done.runtime))]
    for place, (record, answer) in enumerate(zip(records, told, strict=True)):
        if answer is not None:
            name = words("variant.compressed") if len(records) == 1 else run_name(place, record, words)
            marked = _marked(first.shown, answer.shown)
            panes.append(_pane(name, color_of(place), marked, words.said(answer.done.runtime)))
    asked = f'<p class="prompt" dir="auto">{escape(prompt)}</p>'
    return f'<article class="texts">{asked}<div class="panes">{"".join(panes)}</div></article>'


def _pane(name: str, color: str, html: str, runtime: str) -> str:
    """`runtime` wrote it: the same weights may say other words in another one."""
    said = f'<h4>{escape(name)}</h4><p dir="auto">{html}</p><small>{escape(runtime)}</small>'
    return f'<div class="pane" style="--run: {color}">{said}</div>'


def _marked(first: str, text: str) -> str:
    pieces = differing(first, text)
    return "".join(f"<mark>{escape(p.text)}</mark>" if p.differs else escape(p.text) for p in pieces)


# -- tables ----------------------------------------------------------------------------------------------------


def measurements(records: Sequence[RunRecord], words: Words) -> str:
    """Everything that was measured: of one run with its change and samples, of several a column each."""
    table = measurements_table(records[0], words) if len(records) == 1 else _compared(records, words)
    return _section(words("report.numbers"), _table(table))


def _compared(records: Sequence[RunRecord], words: Words) -> pd.DataFrame:
    metrics = dict.fromkeys(m.metric for record in records for m in record.measurements)
    rows = []
    for metric in metrics:
        before = records[0].find(metric, "baseline")
        row = {words("measure.metric"): words.measurement(metric)}
        row[words("measure.baseline")] = formats.measured(before, words.language) if before else ""
        for place, record in enumerate(records):
            found = record.find(metric)
            row[run_name(place, record, words)] = formats.measured(found, words.language) if found else ""
        rows.append(row)
    return pd.DataFrame(rows)


def recipes(records: Sequence[RunRecord], words: Words) -> str:
    parts = [
        f"<article><h3>{escape(_label(place, records, words))}</h3>"
        f"<p>{escape(words('report.recipe.again'))}</p><pre>{escape(_yaml(record))}</pre></article>"
        for place, record in enumerate(records)
    ]
    return _section(words("report.recipe"), "".join(parts), "recipes")


def _yaml(record: RunRecord) -> str:
    return plain_yaml.dump(record.recipe, allow_unicode=True)


def machines(records: Sequence[RunRecord], words: Words) -> str:
    parts = []
    for place, record in enumerate(records):
        took = words("report.took", time=formats.duration(record.seconds, words.language))
        parts.append(
            f"<article><h3>{escape(_label(place, records, words))}</h3><p>{escape(took)}</p>"
            f"{_table(machine_table(record, words))}{_table(stages_table(record, words))}</article>"
        )
    return _section(words("report.machine"), "".join(parts), "machines")


def _label(place: int, records: Sequence[RunRecord], words: Words) -> str:
    name = run_name(place, records[place], words) if len(records) > 1 else steps_text(records[place].recipe, words)
    return f"{name} ({records[place].run_id})"


def listed(heading: str, sentences: Iterable[str]) -> str:
    return _section(heading, f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>")


def _section(heading: str, html: str, name: str = "") -> str:
    return f'<section class="{name}"><h2>{escape(heading)}</h2>{html}</section>'


def _table(table: pd.DataFrame) -> str:
    return str(table.to_html(index=False, escape=True, border=0, classes="numbers"))
