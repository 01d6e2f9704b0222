"""Runs what the pages of docs/ show: the blocks fenced as `console` (commands and their output) and `python`.

`python -m scripts.docs.examples docs/tutorial.md` runs a page in a folder of its own and prints every command with what
it answered, to be copied into the page. A test runs every page and compares. Blocks fenced as `sh` and `py` are shown,
not run: they install something, start a server or need the network.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^( *)```(console|python)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PROGRESS = r"^ *\d+ s +\d+% .*\n"  # what a command says in a log every few seconds: a page shows a terminal
MARK = "::docs-example::"
ID = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{10,12}\b")
NUMBER = re.compile(r"[+-]?\d[\d,.]*")


@dataclass(frozen=True)
class Example:
    """`code` as bash takes it, and what is shown below it; empty where the page shows nothing."""

    line: int
    code: str
    shown: str


@dataclass(frozen=True)
class Answer:
    example: Example
    status: int
    printed: str


def examples(page: Path) -> list[Example]:
    """All of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + 2
        body = "\n".join(line.removeprefix(block[1]) for line in block[3].splitlines())
        found += [_python(first, body)] if block[2] == "python" else _commands(first, body)
    return found


def _python(line: int, body: str) -> Example:
    return Example(line, f"python - <<'END_OF_PYTHON'\n{body}\nEND_OF_PYTHON", "")


def _commands(first: int, body: str) -> Iterator[Example]:
    """`$ ` begins a command, `> ` continues it, all else is its output."""
    for part in re.finditer(r"^\$ (.*(?:\n>(?: .*)?$)*)((?:\n(?!\$ ).*)*)", body, re.MULTILINE):
        code = re.sub(r"\n> ?", "\n", part[1])
        yield Example(first + body.count("\n", 0, part.start()), code, part[2].strip("\n"))


def run(page: Path, folder: Path) -> list[Answer]:
    """Every example of a page, in one shell that stands in `folder` and keeps its runs there."""
    todo = examples(page)
    script = "\n".join(f"{example.code}\necho {MARK}$?" for example in todo)
    home = {"COMPRESSLAB_HOME": str(folder / "data"), "COLUMNS": "100"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | home | {"PATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = re.sub(PROGRESS, "", done.stdout, flags=re.MULTILINE)
    answers = re.findall(rf"(.*?){MARK}(\d+)\n", output, re.DOTALL)
    return [Answer(example, int(status), printed) for example, (printed, status) in zip(todo, answers, strict=True)]


def difference(answer: Answer) -> str | None:
    """Why the page is wrong; None where it shows what was printed, but for the values of numbers and ids.

    A line of three dots stands for any lines that differ from machine to machine.
    """
    example = answer.example
    if answer.status:
        return f"line {example.line}: `{example.code}` ended with {answer.status}:\n{answer.printed}"
    if not example.shown:
        return None
    rules = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(_shown(example.shown), _plain(answer.printed), rules):
        return None
    return f"line {example.line}: `{example.code}` printed\n{answer.printed}\nand the page shows\n{example.shown}"


def _plain(text: str) -> str:
    return NUMBER.sub("#", ID.sub("ID", text)).strip() + "\n"


def _shown(text: str) -> str:
    """With dots that stand for nothing, too, not only for something between two blanks."""
    return re.sub(r"\s*\.\.\.\s*", "...", _plain(text))


def main() -> None:
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            for answer in run(Path(name).resolve(), Path(folder)):
                print(f"{name}:{answer.example.line} [{answer.status}] $ {answer.example.code}\n{answer.printed}")


if __name__ == "__main__":
    main()
