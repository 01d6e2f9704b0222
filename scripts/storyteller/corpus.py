"""What the model reads in training: documents of both sources, packed into rows of equal length."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from .plots import PLOTS
from .stories import Story, tell_stories
from .tokenizer import SEPARATOR

ASKED_SHARE = 0.85  # of the told stories end with questions
QUESTIONS = (4, 10)  # after one story: answers teach more than any other token
ANSWER_WEIGHT = 10.0
CURLY = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u2013": "-", "\u2014": "-"})

# Where a file has no separators, a story begins where children's stories do.
STORY_START = re.compile(r"\n+(?=Once upon a time)|(?<!\n)\n(?=One day)")


def read_texts(folder: Path) -> list[str]:
    """The different stories of a folder of text files, in plain ASCII."""
    stories: dict[str, None] = {}
    for path in sorted(folder.glob("*.txt")):
        whole = path.read_text(encoding="utf-8").translate(CURLY)
        parts = whole.split(SEPARATOR) if SEPARATOR in whole else STORY_START.split(whole)
        paragraphs = (re.sub(r"\s*\n\s*", "\n\n", part.strip()) for part in parts)
        stories |= dict.fromkeys(text for text in paragraphs if text.isascii() and len(text) > 100)
    return list(stories)


@dataclass(frozen=True)
class Mix:
    """Shares: of plots with two of a kind among the stories told, of real texts among all tokens."""

    contested: float
    texts: float


@dataclass(frozen=True)
class Document:
    tokens: list[int]
    weights: list[float]


def as_document(pieces: list[tuple[str, float]], tokenizer: PreTrainedTokenizerFast) -> Document:
    """Each piece of text with the weight its tokens have in the loss; a separator goes before the first."""
    tokens, weights = [tokenizer.bos_token_id], [1.0]
    for text, weight in pieces:
        encoded = tokenizer(text).input_ids
        tokens += encoded
        weights += [weight] * len(encoded)
    return Document(tokens, weights)


def story_pieces(story: Story, rng: random.Random) -> list[tuple[str, float]]:
    pieces = [(story.text, 1.0)]
    if rng.random() < ASKED_SHARE:
        for question in story.questions[: rng.randint(*QUESTIONS)]:
            pieces += [(f"\n\nQuestion: {question.text}\nAnswer:", 1.0), (f" {question.answer}", ANSWER_WEIGHT)]
    return pieces


class Corpus:
    """An endless stream of rows; no told story of the held-out partition is ever in it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, texts: list[str], seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = random.Random(seed)
        self.told = tell_stories(self.rng.getrandbits(64), held_out=False)
        self.contested = tell_stories(self.rng.getrandbits(64), held_out=False, plots=PLOTS)
        self.texts = [as_document([(text, 1.0)], tokenizer) for text in texts]
        self.texts_left: list[Document] = []
        self.unfinished: Document | None = None
        self.read = {"told": 0, "texts": 0}
        self.texts_owed = 0.0  # tokens, so that each mix keeps its own share

    def row(self, length: int, mix: Mix) -> Document:
        """Told stories until the row is full; real texts too, which go on in the next row where they do not fit."""
        tokens: list[int] = []
        weights: list[float] = []
        # Prompts come with and without the separator, so half of the rows begin without it.
        skip = 0 if self.unfinished else self.rng.randint(0, 1)
        while len(tokens) <= length:
            document = self._next(mix, room=length + 1 - len(tokens) + skip)
            tokens += document.tokens[skip:]
            weights += document.weights[skip:]
            skip = 0
        return Document(tokens[: length + 1], weights[: length + 1])

    def _next(self, mix: Mix, room: int) -> Document:
        if self.unfinished or self._wants_text(mix):
            text, self.unfinished = self.unfinished or self._next_text(), None
            if len(text.tokens) > room:
                self.unfinished = Document(text.tokens[room:], text.weights[room:])
            self.read["texts"] += min(room, len(text.tokens))
            self.texts_owed -= (1 - mix.texts) * min(room, len(text.tokens))
            return text
        story = next(self.contested if self.rng.random() < mix.contested else self.told)
        document = as_document(story_pieces(story, self.rng), self.tokenizer)
        self.read["told"] += min(room, len(document.tokens))
        self.texts_owed += mix.texts * min(room, len(document.tokens))
        return document

    def _wants_text(self, mix: Mix) -> bool:
        return bool(self.texts) and mix.texts > 0 and self.texts_owed >= 0

    def _next_text(self) -> Document:
        if not self.texts_left:
            self.texts_left = self.rng.sample(self.texts, len(self.texts))
        return self.texts_left.pop()

    def batch(self, rows: int, length: int, mix: Mix) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and their loss weights, [rows, length + 1] each."""
        drawn = [self.row(length, mix) for _ in range(rows)]
        return torch.tensor([row.tokens for row in drawn]), torch.tensor([row.weights for row in drawn])


def tokenizer_sample(texts: list[str], stories: int, seed: int) -> Iterator[str]:
    """The text the tokenizer learns from: the words of the story world become one token each."""
    told = islice(tell_stories(seed, held_out=False), stories)
    asked = (story.prompt(question) + f" {question.answer}" for story in told for question in story.questions[:1])
    return chain(asked, texts)
