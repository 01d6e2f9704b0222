"""Writes the fixed files of assets/evaluation: the same bytes for the same seed.

python -m scripts.storyteller.evaluation_files
"""

import argparse
import json
import random
from collections import Counter
from itertools import islice
from pathlib import Path

from .corpus import story_pieces
from .stories import Question, Story, tell_stories
from .tokenizer import SEPARATOR
from .world import ANSWERS

SEED = 20_000
STORIES = 900
CALIBRATION_STORIES = 1400
QUESTIONS_A_KIND = 75
EARLIER = 1  # stories stand before the one that is asked about
STARTS = {
    "A boy outdoors": "There once was a boy named Leo who loved to play outside.",
    "A storm": "One day, there was a big storm, and Ben was",
    "A pet": "Emma was a kind little girl. She had a pet",
    "Some coins": "Once upon a time, a boy called Tom lived in a small house. One day, Mom gave him",
}
ASKED_KINDS = ("color", "count", "person", "place")  # of the prompts that end with a question

Asked = dict[str, str | int | list[str]]


def held_out_stories() -> list[Story]:
    return list(islice(tell_stories(SEED, held_out=True), STORIES))


def calibration_stories() -> list[Story]:
    return list(islice(tell_stories(SEED + 1, held_out=False), CALIBRATION_STORIES))


def held_out_questions(seed: int = SEED + 2, a_kind: int = QUESTIONS_A_KIND, earlier: int = EARLIER) -> list[Asked]:
    """As many of each kind, at most one from a story. Each asks about the last of the stories in its prompt; those
    before it tell wrong answers of the same kind, but nothing that the question could be about."""
    asked: list[Asked] = []
    left = Counter(dict.fromkeys(ANSWERS, a_kind))
    stories = tell_stories(seed, held_out=True)
    while left.total():
        *before, story = islice(stories, earlier + 1)
        fitting = [question for question in story.questions if all(_lures(question, other) for other in before)]
        question = max(fitting, key=lambda question: left[question.kind], default=None)
        if question and left[question.kind]:
            left[question.kind] -= 1
            asked.append(_asked(story, question, before))
    return asked


def _lures(question: Question, other: Story) -> bool:
    values = other.values(question.kind)
    return bool(values) and question.answer not in values and not other.could_be_asked(question.text)


def _asked(story: Story, question: Question, before: list[Story]) -> Asked:
    lures = dict.fromkeys(value for other in before for value in other.values(question.kind))
    choices = _with_lures(question, list(lures))
    return {
        "prompt": "\n\n".join(other.text for other in before) + "\n\n" * bool(before) + story.prompt(question),
        "choices": [f" {choice}" for choice in choices],
        "answer": choices.index(question.answer),
        "kind": question.kind,
    }


def _with_lures(question: Question, lures: list[str]) -> list[str]:
    """The lures stand where the first wrong choices stood; the answer stays in its place."""
    missing = [lure for lure in lures if lure not in question.choices]
    kept = {question.answer, *lures}
    return [choice if choice in kept or not missing else missing.pop(0) for choice in question.choices]


def prompts() -> list[dict[str, str]]:
    """Beginnings to go on with, and questions on stories that no other file holds."""
    questions = held_out_questions(seed=SEED + 3, a_kind=1, earlier=0)
    asked = {question["kind"]: question["prompt"] for question in questions}
    labels = list(STARTS.items())
    labels += [(asked[kind].rsplit("Question: ", 1)[1].split("\n")[0], asked[kind]) for kind in ASKED_KINDS]
    return [{"label": label, "prompt": prompt} for label, prompt in labels]


def evaluation_files() -> dict[str, str]:
    rng = random.Random(SEED)
    calibration = ("".join(text for text, _ in story_pieces(story, rng)) for story in calibration_stories())
    return {
        "stories.txt": SEPARATOR.join(story.text for story in held_out_stories()),
        "calibration.txt": SEPARATOR.join(calibration),
        "questions.jsonl": "".join(json.dumps(question) + "\n" for question in held_out_questions()),
        "prompts.json": json.dumps(prompts(), indent=2) + "\n",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("assets/evaluation"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in evaluation_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"{folder / name}: {len(text):,} characters")


if __name__ == "__main__":
    main()
