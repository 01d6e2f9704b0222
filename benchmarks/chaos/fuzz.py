"""The fuzz tests at length: how many recipes, files and addresses were tried, and which of them ended in a traceback.

`python -m benchmarks.chaos.fuzz 3` takes three times as many examples as the tests do.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

TESTS = ("tests/test_fuzzed_recipes.py", "tests/test_fuzzed_models.py", "tests/test_addresses.py")
KINDS = {  # by what a test's name begins with
    "recipes": ("test_recipes", "test_a_copied_command"),
    "files": ("test_configs", "test_headers", "test_tokenizers"),
    "addresses": ("test_assignments_axes_and_addresses", "test_nonsense_in_an_address", "test_the_number_of_another"),
}


def main() -> None:
    os.environ["COMPRESSLAB_FUZZ_TIMES"] = sys.argv[1]
    import pytest

    class Heard:
        """How each test ended."""

        def __init__(self) -> None:
            self.failed: list[str] = []
            self.tests = 0
            self.once: list[str] = []

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                self.failed.append(f"{report.nodeid}: {str(report.longrepr)[-600:]}")
            if report.when == "call":
                self.tests += 1
                self.once.append(report.nodeid.rpartition("::")[2])

    heard = Heard()
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *TESTS], plugins=[heard])
    from tests.fuzzing import TRIED

    for name in heard.once:  # those that ask for pages, and not for a sentence
        TRIED[name] += not TRIED[name]
    tried = {
        kind: sum(count for name, count in TRIED.items() if name.startswith(names)) for kind, names in KINDS.items()
    }
    print("\n" + json.dumps({"tests": heard.tests, "tried": tried, "failed": heard.failed}))


if __name__ == "__main__":
    main()
