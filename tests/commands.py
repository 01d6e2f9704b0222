"""The command line, called in the tests' own process: `call` tells all that it said, `answer` reads its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from compresslab.commands.main import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(own_home: object, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command: exit code, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def answer(call: Call) -> Callable[..., Any]:
    def run(*words: object) -> Any:
        code, out, err = call(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run
