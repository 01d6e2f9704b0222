"""Exports in words and bars, for the Studio and the History. No Streamlit."""

from __future__ import annotations

from html import escape
from typing import Literal

import pandas as pd
from compresslab.exports.format import opens_in
from compresslab.models.facts import read_facts
from compresslab.records.results import ExportRecord, RunRecord
from compresslab.work.exporting import Offer
from compresslab_dashboard.texts import Words, escaped, formats

Kind = Literal["baseline", "estimate", "written"]
SURE = 1e-3  # a relative difference of logits below this is told as "the same answers"


def baseline_bytes(record: RunRecord) -> int:
    """Of the model that the run began with, in its own files."""
    measured = record.find("size_on_disk_bytes", "baseline")
    return int(measured.value) if measured else read_facts(record.model).file_bytes


def newest(record: RunRecord, name: str) -> ExportRecord | None:
    return next((export for export in reversed(record.exports) if export.format == name), None)


def bar(kind: Kind, bytes_: int, whole: int, text: str) -> str:
    """HTML of one bar, `whole` being its full width; a longer one is cut there and says so by its number."""
    width = min(100.0, 100 * bytes_ / max(1, whole))
    return f'<div class="export-bar"><i class="{kind}" style="width:{width:.1f}%"></i><span>{escape(text)}</span></div>'


def size_bar(record: RunRecord, offer: Offer, written: ExportRecord | None, words: Words) -> str:
    """Outlined while it is an estimate, solid when there is a file."""
    whole = baseline_bytes(record)
    if written is not None:
        return bar("written", written.weight_bytes, whole, formats.file_size(written.weight_bytes))
    estimated = offer.estimated_bytes or 0
    return bar("estimate", estimated, whole, words("export.about", size=formats.file_size(estimated)))


def what_it_is(offer: Offer, words: Words) -> str:
    """Plain words, the programs, and what would be lost; markdown."""
    form = offer.form
    plain = words.known(f"format.{form.name}.plain", form.plain)
    programs = (
        words("export.opens", programs=", ".join(map(words.said, opens_in(form, offer.programs))))
        if offer.programs
        else ""
    )
    return "  \n".join(escaped(part) for part in (f"{plain} {programs}", *map(words.said, offer.remarks)))


def exports_table(record: RunRecord, words: Words) -> pd.DataFrame:
    """One line an export."""
    rows = [
        {
            words("export.table.format"): words.format_label(export.format),
            words("export.table.size"): formats.file_size(export.weight_bytes),
            words("export.table.opened"): words.said(export.opened_by) or _not_opened(export, words),
            words("export.table.near"): formats.share(export.relative_difference),
            words("export.table.folder"): export.folder,
        }
        for export in record.exports
    ]
    return pd.DataFrame(rows)


def finding(export: ExportRecord, words: Words) -> str:
    """One sentence: who opened the files, and how near they answer to the model in memory."""
    if export.opened_by:
        opened = words("export.opened", program=words.said(export.opened_by))
    else:
        opened = _not_opened(export, words)
    same = export.relative_difference < SURE
    answers = words("export.same") if same else words("export.near", share=formats.share(export.relative_difference))
    perplexity = next((m for m in export.quality if m.metric == "perplexity"), None)
    if perplexity is None:
        return f"{opened} {answers}"
    shown = formats.with_error(perplexity.value, perplexity.error)
    return f"{opened} {answers} {words('export.perplexity', value=shown, dataset=words.said(perplexity.dataset))}"


def _not_opened(export: ExportRecord, words: Words) -> str:
    missing, reader = words.said(export.not_opened_by), words.said(export.read_by)
    return words("export.not_opened", program=missing, reader=reader)
