"""What the fuzzers share: values that fit nowhere, examples that are the same every time, and what a refusal must be.

It holds no input that crashes or hangs other software: sizes are small, and nothing is nested deeply.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from compresslab.errors import CompresslabError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LONGEST = 600  # letters of a sentence
TIMES = int(os.environ.get("COMPRESSLAB_FUZZ_TIMES", "1"))  # as many examples as the tests take
TRIED: Counter[str] = Counter()  # attempts, by the test that made them
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 3, 1.5, float("inf"), 10**30, "", "x", "x" * 2000, "a\nb\x00\u2028", "[", "*.a", "010", [], [1],
    ["x"] * 60, {}, {"a": 1}, {"a": {"b": []}}, {1: 2, "zz": 3},
)  # fmt: skip
junk = st.sampled_from(JUNK)


def fuzzed(examples: int, **given_by: Any) -> Callable[[Any], Any]:
    """The same examples every time, and nothing kept."""
    calm = settings(
        max_examples=examples * TIMES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: calm(given(**given_by)(test))


def refused(attempt: Callable[[], Any]) -> str:
    """What was said, empty where it worked. Whatever else is raised is a fault."""
    TRIED[os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]] += 1
    try:
        attempt()
    except CompresslabError as error:
        for said in (str(error), error.message.in_language("zh")):
            assert len(said) <= LONGEST and said.isprintable(), said
        assert len(json.dumps(error.message.to_json())) < 8 * LONGEST
        return str(error)
    return ""
