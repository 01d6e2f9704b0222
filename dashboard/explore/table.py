"""All points as a table: for those who read numbers, for the keyboard, and for CSV. No Streamlit."""

from __future__ import annotations

import pandas as pd
from compresslab_dashboard.explore.dots import Dot
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.explore.scene import Scene, dot_text
from compresslab_dashboard.texts import Words


def points_table(scene: Scene, words: Words) -> pd.DataFrame:
    """One row a dot, in their order. Numbers stay numbers, in the unit that the column's head names."""
    shown = [scene.foreseen.get(dot.name, dot) for dot in scene.dots]
    known = [name for name in MEASURES if any(dot.number(name) is not None for dot in shown)]
    rows = [_row(dot, scene, known, words) for dot in scene.dots]
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _row(dot: Dot, scene: Scene, known: list[str], words: Words) -> dict[str, object]:
    row: dict[str, object] = {words("explore.col.point"): dot_text(dot, (), words)} if not scene.axes else {}
    row |= {axis.label: axis.text(value) for axis, value in zip(scene.axes, dot.coordinates, strict=True)}
    row[words("explore.col.state")] = words(f"explore.state.{dot.state}")
    shown = scene.foreseen.get(dot.name, dot)
    row[words("explore.col.stage")] = words(f"label.{shown.reading.stage}") if shown.reading else None
    for name in known:
        value, error = shown.number(name) or (None, None)
        row[words(f"explore.axis.{name}")] = value
        row[f"± {words(f'explore.measure.{name}')}"] = error or None
    row[words("explore.col.front")] = words("explore.on") if dot.name in scene.front else None
    row[words("explore.col.run")] = dot.reading.run_id if dot.reading else None
    row[words("explore.col.reason")] = words.said(dot.said) or None
    return row
