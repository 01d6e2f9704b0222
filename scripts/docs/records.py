"""Events, and what a run leaves: every type with its fields, from the classes and the comments beside their fields."""

from __future__ import annotations

import inspect
from typing import get_args

from compresslab.records import results
from compresslab.records.events import Event

from scripts.docs.markdown import annotated, code, docstring, page, table

ABOUT = """
While a job works it reports events, as plain data: `Workspace.run(recipe, report=...)` passes them to a function of
yours, `Workspace.jobs.events(job, after)` reads those of a job in the queue, and the store keeps each as one JSON
object. `kind` says which one it is. Fields without a default are always there; a field that is `None` is left out of
the JSON."""
RECORDS = (results.RunRecord, results.RunSummary)
PARTS = (results.Measurement, results.Hardware, results.WeightReport, results.LossPoint, results.ExportRecord)


def events() -> str:
    kinds = get_args(get_args(Event)[0])
    listed = [_entry(kind, str(kind.model_fields["kind"].default)) for kind in kinds]
    about = """
What `compresslab run --json` prints and `Workspace.run` returns. A run record has the fields of both tables."""
    records = ["## Run records\n", about.strip(), *(_table(kind) for kind in RECORDS)]
    parts = [f"### {kind.__name__}\n\n{docstring(kind)}\n\n{_table(kind)}" for kind in PARTS]
    return page("Events and records", ABOUT, "## Events", *listed, *records, *parts)


def _entry(kind: type, name: str) -> str:
    return f"### `{name}` {{ #{name} }}\n\n{inspect.getdoc(kind)}\n\n{_table(kind)}"


def _table(kind: type) -> str:
    rows = [row for row in annotated(kind) if row[0] not in ("kind", "model_config")]
    return table(
        ("field", "type", "default", "meaning"), [(code(n), code(t), code(d), meaning) for n, t, d, meaning in rows]
    )
