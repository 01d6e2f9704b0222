"""Tells stories: a plot, a cast, one way of saying each beat; and asks questions that only the story answers."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from string import Formatter

from .plots import Beat, InAnyOrder, Plot
from .tales import TALES
from .world import ANSWERS, ROLES, Cast, Thing, draw_cast

HELD_OUT_SHARE = 16  # one set of facts in so many is never told in training
CHOICES = 4
MENTIONED = 2  # at most so many of the choices are in the story itself


@dataclass(frozen=True)
class Question:
    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    contested: bool  # the story tells a wrong answer of this kind too


@dataclass(frozen=True)
class Story:
    plot: Plot
    cast: Cast
    text: str
    facts: str
    questions: tuple[Question, ...]

    @property
    def held_out(self) -> bool:
        return is_held_out(self.facts)

    def prompt(self, question: Question) -> str:
        return f"{self.text}\n\nQuestion: {question.text}\nAnswer:"

    def values(self, kind: str) -> list[str]:
        """Every possible answer of this kind that the story tells."""
        return list(_told(self.plot, kind, self.cast))

    def could_be_asked(self, text: str) -> bool:
        return any(way.format(**self.cast) == text for asked in self.plot.asks for way in asked.ways)


def is_held_out(facts: str) -> bool:
    digest = hashlib.blake2b(facts.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_SHARE == 0


def tell_stories(seed: int, held_out: bool, plots: tuple[Plot, ...] = TALES) -> Iterator[Story]:
    """An endless stream from one side of the partition, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        plot, cast = rng.choice(plots), draw_cast(rng)
        facts = facts_of(plot, cast)
        if is_held_out(facts) == held_out:
            yield Story(plot, cast, tell(plot, cast, rng), facts, tuple(ask(plot, cast, rng)))


def facts_of(plot: Plot, cast: Cast) -> str:
    """The facts alone: two tellings of the same events fall on the same side of the partition."""
    told = [f"{role}={getattr(cast[role], 'colored', cast[role])}" for role in sorted(roles_of(plot))]
    return f"{plot.name}: {', '.join(told)}"


@cache
def roles_of(plot: Plot) -> frozenset[str]:
    templates = list(_templates(plot.beats)) + [question for asked in plot.asks for question in asked.ways]
    fields = (field for template in templates for _, field, _, _ in Formatter().parse(template) if field)
    return frozenset(field.split(".")[0] for field in fields)


def _templates(beats: tuple[Beat, ...]) -> Iterator[str]:
    for beat in beats:
        yield from _templates(beat.beats) if isinstance(beat, InAnyOrder) else beat


def tell(plot: Plot, cast: Cast, rng: random.Random) -> str:
    sentences = [template.format(**cast) for template in _choose_ways(plot.beats, rng)]
    return " ".join(filter(None, sentences)).replace(" \n\n ", "\n\n")


def _choose_ways(beats: tuple[Beat, ...], rng: random.Random) -> Iterator[str]:
    for beat in beats:
        if isinstance(beat, InAnyOrder):
            yield from _choose_ways(tuple(rng.sample(beat.beats, len(beat.beats))), rng)
        else:
            yield rng.choice(beat)


def ask(plot: Plot, cast: Cast, rng: random.Random) -> Iterator[Question]:
    for asked in rng.sample(plot.asks, len(plot.asks)):
        answer = f"{{{asked.answer}}}".format(**cast)
        text = rng.choice(asked.ways).format(**cast)
        wrong = [value for value in _told(plot, asked.kind, cast) if value != answer]
        choices = _choices(asked.kind, answer, wrong[: MENTIONED - 1], rng)
        yield Question(asked.kind, text, answer, choices, contested=bool(wrong))


def _choices(kind: str, answer: str, wrong: list[str], rng: random.Random) -> tuple[str, ...]:
    others = [value for value in ANSWERS[kind] if value not in {answer, *wrong}]
    choices = [answer, *wrong, *rng.sample(others, CHOICES - 1 - len(wrong))]
    return tuple(rng.sample(choices, CHOICES))


def _told(plot: Plot, kind: str, cast: Cast) -> Iterator[str]:
    """Every value of this kind of answer that the plot tells."""
    for role in sorted(roles_of(plot)):
        value = cast[role]
        if kind == "color" and isinstance(value, Thing):
            yield value.color
        elif ROLES[role] == kind:
            yield value.at if kind == "place" else str(value)
