"""Programs are named for an export where they opened it: what the product says, held against what readers did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from compresslab.exports.format import opens_in
from compresslab.exports.registry import FORMATS

from benchmarks.export_readers import NAME, READERS, Case, cases, compressed, told
from benchmarks.report import RESULTS

ROWS: list[Case] = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["rows"]
OPENED_IN_TESTS = {"onnx": "onnxruntime", "transformers": "transformers"}
ARITHMETIC = {"llama.cpp": 0.02, "transformers": 1e-4}  # of log-probabilities: llama.cpp reads inputs in 8 bits


def about(case: Case) -> dict[str, Any]:
    return {key: case[key] for key in ("format", "family", "tied", "grid", "config") if key in case}


def test_who_was_never_tried_is_said_to_be_so() -> None:
    """The matrix, and what was opened on the bundled model before there was one."""
    before = json.loads((RESULTS / "open_exports.json").read_text(encoding="utf-8"))["formats"]
    for name, form in FORMATS.items():
        tried = {READERS.get(name), OPENED_IN_TESTS.get(name), *before.get(name, {}).get("versions", {})}
        assert set(form.untried) == {by for by in form.opened_by if by not in tried}, name
        told = [str(by) for by in opens_in(form, form.opened_by)]
        assert [by.endswith("(not tried here)") for by in told] == [by in form.untried for by in form.opened_by]


def test_every_case_was_opened_by_its_reader() -> None:
    tried = [about(row) for row in ROWS]
    assert all(about(case) in tried for case in cases())


@pytest.mark.parametrize("row", [row for row in ROWS if row["named"]], ids=str)
def test_a_program_that_is_named_opens_it_and_answers_alike(row: Case) -> None:
    assert row["opened"], row.get("why")
    assert row["same_tokens"]
    assert row["relative_difference"] < ARITHMETIC[READERS[row["format"]]]


def test_the_product_says_today_what_it_said_then(tmp_path: Path) -> None:
    for row in ROWS:
        case = about(row)
        assert told(case, compressed(case, tmp_path))["named"] is row["named"], case
