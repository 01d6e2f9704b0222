"""A page of the runs as a table and as points; what is chosen in either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st
from compresslab.records.run_row import RunRow
from compresslab.store.runs import EVERY, RunFilter
from compresslab.workspace.runs import Runs
from compresslab_dashboard.charts import figures
from compresslab_dashboard.history.picked import Picked
from compresslab_dashboard.history.wanted import ROWS, page_and_order
from compresslab_dashboard.recipe.words import phrase_of
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.results.tables import everything, runs_table
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, formats

LISTED_DATE = "MM-DD HH:mm"
TABLE_HEIGHT = 380
CHART_HEIGHT = 260  # at least, however few runs there are
ROW_HEIGHT = 35


@dataclass(frozen=True)
class Listed:
    """One page of the list: its rows, how many the filter lets through, and of how many."""

    which: RunFilter
    rows: list[RunRow]
    count: int
    of: int

    @classmethod
    def read(cls, runs: Runs, which: RunFilter, picked: Picked) -> Listed:
        rows = runs.rows(which, picked.order, offset=ROWS * picked.page, limit=ROWS)
        if picked.page and not rows:  # the filter lets through less than before, or somebody deleted
            picked.page = 0
            rows = runs.rows(which, picked.order, limit=ROWS)
        whole = picked.page == 0 and len(rows) < ROWS
        count = len(rows) if whole else runs.count(which)
        return cls(which, rows, count, count if which == EVERY else runs.count())


def listed(page: Listed, words: Words) -> None:
    count = words("history.count", count=page.count)
    if page.count < page.of:
        count = words("history.count.some", count=page.count, all=page.of)
    runs = state.workspace().runs
    with st.container(horizontal=True, vertical_alignment="center", key="history_count"):
        st.caption(count, width="stretch")
        page_and_order(page.count, words)
        st.download_button(
            words("history.csv"),
            data=lambda: csv_bytes(everything(runs.summaries(page.which), runs.annotations(), words)),
            file_name="compresslab-runs.csv",
            mime="text/csv",
            key="history_csv",
            help=words("history.csv.help"),
            on_click="ignore",
        )
    board = st.container(key="history_board")
    left, right = board.columns([3, 2], gap="medium")
    height = min(TABLE_HEIGHT, ROW_HEIGHT * (len(page.rows) + 1) + 3)
    with left:
        _table(runs_table(page.rows, words), words, height)
        if not state.own(Picked).runs:
            st.caption(words("history.select"))
    with right:
        _scatter(page.rows, words, max(CHART_HEIGHT, height))


def _table(table: pd.DataFrame, words: Words, height: int) -> None:
    """The key changes when a run is deleted: the mark on its row goes with it."""
    key = f"runs_table.{state.own(Picked).deletions}"
    run_ids = list(table["run"])
    chosen = [
        row for row, run_id in enumerate(run_ids) if run_id in state.own(Picked).runs
    ]  # by a link, or in the chart
    with st.container(key="runs"):
        st.dataframe(
            table,
            key=key,
            hide_index=True,
            row_height=ROW_HEIGHT,
            height=height,
            column_config=_columns(words),
            on_select=lambda: _take_rows(key, run_ids),
            selection_mode="multi-row",
            selection_default={"selection": {"rows": chosen, "columns": [], "cells": []}},
        )


def _columns(words: Words) -> dict[str, Any]:
    def head(name: str) -> str:
        return words(f"history.col.{name}")

    column = st.column_config
    return {
        "date": column.DatetimeColumn(head("date"), format=LISTED_DATE, width=92),
        "model": column.TextColumn(head("model"), width=92),
        "recipe": column.TextColumn(head("recipe"), width=150),
        "size": column.NumberColumn(head("size"), format="%.2f×", width=78),
        "perplexity": column.NumberColumn(head("perplexity"), format="%+.2f %%", width=92),
        "perplexity_error": column.NumberColumn(head("perplexity_error"), format="%.2f", width=56),
        "accuracy": column.NumberColumn(head("accuracy"), format="percent"),
        "flipped": column.NumberColumn(head("flipped"), format="percent"),
        "speed": column.NumberColumn(head("speed"), format="%.2f×"),
        "seconds": column.NumberColumn(head("seconds"), format=f"%.1f {formats.unit('s', words.language)}"),
        "tags": column.ListColumn(head("tags")),
        "note": column.TextColumn(head("note")),
        "device": column.TextColumn(head("device"), width="small"),
        "versions": column.TextColumn(head("versions")),
        "run": column.TextColumn(head("run")),
    }


def _take_rows(key: str, run_ids: Sequence[str]) -> None:
    state.own(Picked).runs = [run_ids[row] for row in st.session_state[key].selection.rows]


def _scatter(rows: Sequence[RunRow], words: Words, height: int) -> None:
    figure = figures.history_scatter(rows, words, label=lambda row: phrase_of(row.steps, words))
    key = f"runs_chart.{state.own(Picked).deletions}"
    st.plotly_chart(
        figure,
        key=key,
        height=height,
        on_select=lambda: _take_points(key),
        selection_mode="points",
        config={"displayModeBar": False},
        theme=None,  # style.css colours text and grid
        alt=figures.describe_history(len(rows), words),
    )


def _take_points(key: str) -> None:
    """A click chooses one run; with Shift held it joins those that are chosen."""
    found = [point.get("customdata") for point in st.session_state[key].selection.points]
    chosen = [str(one[0] if isinstance(one, list) else one) for one in found]
    if chosen:
        state.own(Picked).runs = list(dict.fromkeys(chosen))
