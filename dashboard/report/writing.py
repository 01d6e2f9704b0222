"""The report as text or as a file. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compresslab.errors import BadInput, reason
from compresslab.files.atomic import new_file
from compresslab.records.results import RunRecord
from compresslab.workspace import Workspace
from compresslab_dashboard.report.page import report_html
from compresslab_dashboard.texts import words_of

MOST_RUNS = 6  # as many as Compare takes


def make(workspace: Workspace, records: Sequence[RunRecord], language: str) -> str:
    """The HTML of these runs, with every text that the store has of them. Raises BadInput."""
    if not 1 <= len(records) <= MOST_RUNS:
        raise BadInput("report.count", most=MOST_RUNS, count=len(records))
    weights = {name for record in records for name in (record.baseline_hash, record.compressed_hash)}
    return report_html(records, workspace.texts.recorded(weights), words_of(language))


def write(workspace: Workspace, run_ids: Sequence[str], file: Path, language: str = "en") -> None:
    """The report as a file. Raises BadInput where a run is not there or the file can't be written."""
    html = make(workspace, [workspace.runs.find(run_id) for run_id in dict.fromkeys(run_ids)], language)
    try:
        with new_file(file) as part:
            part.write_text(html, encoding="utf-8")
    except OSError as error:
        raise BadInput("report.not_written", file=file, reason=reason(error)) from None
