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
from .stories import Story, tell_stories
from .tokenizer import SEPARATOR
from .world import ANSWERS

SEED = 20_000
STORIES = 900
CALIBRATION_STORIES = 1400
QUESTIONS_A_KIND = 75
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


def held_out_questions(seed: int = SEED + 2, a_kind: int = QUESTIONS_A_KIND) -> list[Asked]:
    """As many of each kind, at most one from a story."""
    asked: list[Asked] = []
    left = Counter(dict.fromkeys(ANSWERS, a_kind))
    stories = tell_stories(seed, held_out=True)
    while left.total():
        story = next(stories)
        question = max(story.questions, key=lambda question: left[question.kind])
        if left[question.kind]:
            left[question.kind] -= 1
            asked.append(
                {
                    "prompt": story.prompt(question),
                    "choices": [f" {choice}" for choice in question.choices],
                    "answer": question.choices.index(question.answer),
                    "kind": question.kind,
                }
            )
    return asked


def prompts() -> list[dict[str, str]]:
    """Beginnings to go on with, and questions on stories that no other file holds."""
    questions = held_out_questions(seed=SEED + 3, a_kind=1)
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
