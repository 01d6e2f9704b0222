"""A program that is installed somewhere here opens today's exports: not what it did when the matrix was written.

`XLLAMACPP=/path/to/python` names an environment that has xllamacpp; without it there is nobody to ask.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from compresslab.exports.registry import FORMATS

from benchmarks.export_readers import cases, compressed, opened, told

XLLAMACPP = os.environ.get("XLLAMACPP")
INPUTS_IN_8_BITS = 0.02  # of log-probabilities: what llama.cpp's own arithmetic moves them by


@pytest.mark.slow
@pytest.mark.skipif(not XLLAMACPP, reason="XLLAMACPP names no Python that has xllamacpp")
def test_llama_cpp_cuts_texts_and_answers_as_the_model_does(tmp_path: Path) -> None:
    tried, wrong = 0, []
    for case in cases():
        if case["format"] != "gguf":
            continue
        model = compressed(case, tmp_path)
        if not told(case, model)["named"]:
            continue
        found = opened(case, FORMATS["gguf"](), model, Path(str(XLLAMACPP)), tmp_path)
        tried += 1
        if not (found["opened"] and found["same_tokens"] and found["relative_difference"] < INPUTS_IN_8_BITS):
            wrong.append(case | found)
    assert tried > 0
    assert wrong == []
