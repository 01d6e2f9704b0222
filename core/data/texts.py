"""Texts and questions: what the recipe says of them, and reading them with clear errors. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from compresslab.data.hub_text import PREFIX, read_hub_text
from compresslab.errors import BadInput
from compresslab.files.paths import EVALUATION, user_path
from compresslab.files.reading import NotJson, numbered_lines, parse_json, read_text
from compresslab.messages import Message
from compresslab.settings import Settings, setting

SEPARATOR = "<|endoftext|>"


class Calibration(Settings):
    """The text that statistics and distillation are taken from."""

    text: str = setting(
        "bundled",
        label="Calibration text",
        plain="The text that methods learn from: the bundled one, or a file of yours.",
        help="bundled, the path of a UTF-8 text file, or hub:OWNER/NAME:CONFIG:SPLIT for a dataset on the Hub.",
    )
    samples: int = setting(
        512,
        ge=1,
        le=100_000,
        step=64,
        unit="samples",
        label="Samples",
        plain="How many pieces of text.",
        help="Sequences taken from the text, in an order given by the seed.",
        advanced=True,
    )
    sequence_length: int = setting(
        128,
        ge=16,
        le=8192,
        step=16,
        unit="tokens",
        label="Sequence length",
        plain="How long each piece is.",
        help="Tokens of one sequence; never more than the model's own context.",
        advanced=True,
    )
    statistics: Literal["baseline", "sequential"] = setting(
        "baseline",
        label="Statistics",
        plain="Measure the uncompressed model once, which keeps sliders fast, or measure again after each layer, "
        "which is slower.",
        help="baseline: input statistics of the model before compression, measured once and used for every setting. "
        "sequential: each layer sees the inputs that come from the layers compressed before it, and least-squares "
        "solvers make up for what was lost there (GPTAQ, arXiv:2504.02692).",
        advanced=True,
    )


class Evaluation(Settings):
    """The text and the questions that baseline and compressed model are both measured on."""

    text: str = setting(
        "bundled",
        label="Test text",
        plain="The text it is tested on: the bundled one, or a file of yours.",
        help="bundled, the path of a UTF-8 text file, or hub:OWNER/NAME:CONFIG:SPLIT for a dataset on the Hub.",
    )
    context_length: int = setting(
        256,
        ge=16,
        le=8192,
        step=16,
        unit="tokens",
        label="Context length",
        plain="How much of the text is read at a time.",
        help="Tokens of one window; never more than the model's own context. Windows do not overlap.",
        advanced=True,
    )
    max_tokens: int = setting(
        32768,
        ge=256,
        le=10_000_000,
        step=1024,
        unit="tokens",
        label="Token limit",
        plain="Stop after this much text.",
        help="The most tokens that are scored; a draft scores a quarter of them.",
        advanced=True,
    )
    questions: str = setting(
        "bundled",
        label="Questions",
        plain="The questions it is asked: the bundled ones, or a file of yours.",
        help="bundled (600 about stories for the bundled model, 140 general ones in English for others), or the path "
        "of a JSONL file, one question a line: "
        '{"prompt": "...", "choices": ["...", "..."], "answer": 0, "kind": "..."}; kind is optional. A classifier '
        'needs {"text": "...", "label": "..."} (or "text_pair" as well), an encoder-decoder '
        '{"input": "...", "target": "..."}, both as JSONL, or as CSV with these names in its first line.',
    )
    max_questions: int = setting(
        400,
        ge=10,
        le=100_000,
        step=10,
        unit="questions",
        label="Question limit",
        plain="Stop after this many questions.",
        help="The most questions that are asked, in the file's order; a draft asks a quarter of them.",
        advanced=True,
    )


@dataclass(frozen=True)
class Question:
    """Multiple choice: each choice is appended to the prompt as it is, leading space included."""

    prompt: str
    choices: tuple[str, ...]
    answer: int
    kind: str = ""


def evaluation_text(name: str) -> str:
    return _text(name, EVALUATION / "stories.txt")


def calibration_text(name: str) -> str:
    return _text(name, EVALUATION / "calibration.txt")


def _text(name: str, bundled: Path) -> str:
    if name.startswith(PREFIX):
        return read_hub_text(name)
    return read_text(bundled if name == "bundled" else user_path(name))


def evaluation_questions(name: str, *, stories: bool = True) -> list[Question]:
    """The bundled ones are about what happens in `stories`, for the model that was taught them, or general ones."""
    bundled = EVALUATION / ("questions.jsonl" if stories else "general.jsonl")
    return read_questions(bundled if name == "bundled" else user_path(name))


def check_file(name: str, *, questions: bool = False) -> None:
    """Raises BadInput where a file of the user's can't be used; reads a file again only when it has changed."""
    if name == "bundled" or name.startswith(PREFIX):
        return
    path = user_path(name)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    problem = _problem(path, changed, questions)
    if problem:
        raise BadInput(problem)


@lru_cache(maxsize=32)
def _problem(path: Path, _changed: int, questions: bool) -> Message | None:
    try:
        if not (read_questions if questions else read_text)(path):
            return Message("questions.none", path=path)
    except BadInput as error:
        return error.message
    return None


def read_questions(path: Path) -> list[Question]:
    """Questions of a JSONL file; raises BadInput that names the first line that is wrong."""
    lines = numbered_lines(read_text(path))
    return [_question(line, Message("place.line", file=path, line=number)) for number, line in lines]


def json_of_line(line: str, where: Message) -> Any:
    """Raises BadInput that says where."""
    try:
        return parse_json(line)
    except NotJson as error:
        raise BadInput("text.line_not_json", where=where, reason=error.reason, column=error.column) from None


def _question(line: str, where: Message) -> Question:
    data = json_of_line(line, where)
    if not isinstance(data, dict) or not {"prompt", "choices", "answer"} <= set(data):
        raise BadInput("questions.missing_keys", where=where)
    choices, answer = data["choices"], data["answer"]
    if not isinstance(data["prompt"], str) or not data["prompt"]:
        raise BadInput("questions.empty_prompt", where=where)
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c for c in choices):
        raise BadInput("questions.few_choices", where=where)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise BadInput("questions.wrong_answer", where=where, answer=answer, last=len(choices) - 1)
    return Question(data["prompt"], tuple(choices), answer, str(data.get("kind", "")))


@lru_cache(maxsize=1)
def example_prompts() -> list[dict[str, str]]:
    """The bundled example prompts, each with `label` and `prompt`."""
    prompts: list[dict[str, str]] = parse_json((EVALUATION / "prompts.json").read_text(encoding="utf-8"))
    return prompts
