"""Sweeps as the command line shows them: all of them, or one point by point."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from compresslab.commands.output import OUT, measured, print_json, print_table
from compresslab.records.results import RunRecord
from compresslab.store.sweeps import PointRow, SweepRow
from compresslab.work.sweeps import Sweeps

SHOWN = ("size_on_disk_bytes", "perplexity", "accuracy", "decode_tokens_per_second")

__all__ = ["list_all", "print_json", "show"]


def list_all(sweeps: Sweeps, as_json: bool) -> None:
    rows = sweeps.all()
    states = {row.id: Counter(str(point.state) for point in sweeps.points(row.id)) for row in rows}
    if as_json:
        print_json({"sweeps": [asdict(row) | {"points": states[row.id]} for row in rows]})
    elif not rows:
        OUT.print("There are no sweeps yet; `compresslab sweep --over quantize_rtn.bits=3,4` makes one.")
    else:
        columns = ("sweep", "created (UTC)", "model", "over", "done", "of", "else")
        print_table(columns, [_overview(row, states[row.id]) for row in rows])


def _overview(row: SweepRow, states: Counter[str]) -> tuple[Any, ...]:
    created = time.strftime("%F %T", time.gmtime(row.created))
    axes = " ".join(f"{axis['path']}={','.join(str(v) for v in axis['values'])}" for axis in row.spec["axes"])
    others = ", ".join(f"{count} {state}" for state, count in states.items() if state != "done")
    return row.id, created, row.spec["base"]["model"], axes, states["done"], states.total(), others


def show(sweeps: Sweeps, sweep_id: int, as_json: bool) -> None:
    """Raises BadInput."""
    row, points = sweeps.find(sweep_id), sweeps.points(sweep_id)
    found = {record.run_id: record for record in sweeps.records(p.run_id for p in points if p.run_id)}
    if as_json:
        listed = [asdict(p) | {"state": p.state, "record": _plain(found.get(p.run_id or ""))} for p in points]
        print_json(asdict(row) | {"points": listed})
        return
    names = [axis["path"] for axis in row.spec["axes"]]
    rows = [_cells(point, found.get(point.run_id or "")) for point in points]
    print_table((*names, "state", "run", "size", "perplexity", "accuracy", "writing", "why"), rows)


def _cells(point: PointRow, record: RunRecord | None) -> tuple[Any, ...]:
    numbers = [measured(record.find(name)) if record else "" for name in SHOWN]
    return (*point.coordinates, point.state, point.run_id or "", *numbers, point.trouble or "")


def _plain(record: RunRecord | None) -> dict[str, Any] | None:
    return None if record is None else record.model_dump(mode="json")
