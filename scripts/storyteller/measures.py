"""What the model card reports: accuracy on questions, guessers beside it, perplexity, and stories."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .evaluation_files import Asked
from .plots import PLOTS
from .stories import tell_stories
from .tokenizer import SEPARATOR
from .world import ANSWERS

BATCH = 32
LONGEST_CHOICE = 8  # tokens
Guess = Callable[[Asked], int]


def choose(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Asked]) -> list[int]:
    """The likeliest choice of each question, by the summed log-likelihood of its tokens."""
    prompts = [tuple(tokenizer(question["prompt"]).input_ids) for question in questions]
    choices = [[tuple(tokenizer(choice).input_ids) for choice in question["choices"]] for question in questions]
    # The last token of a choice is never read, so choices of one token share one row.
    rows = {prompt + choice[:-1] for prompt, of_one in zip(prompts, choices, strict=True) for choice in of_one}
    read = _log_probabilities(model, sorted(rows, key=len), tokenizer.pad_token_id)

    def score(prompt: tuple[int, ...], choice: tuple[int, ...]) -> float:
        tail = read[prompt + choice[:-1]][-len(choice) :]  # [choice, vocabulary]
        return tail.gather(1, torch.tensor(choice)[:, None]).sum().item()

    return [
        _argmax([score(prompt, choice) for choice in of_one]) for prompt, of_one in zip(prompts, choices, strict=True)
    ]


@torch.inference_mode()
def _log_probabilities(
    model: PreTrainedModel, rows: Sequence[tuple[int, ...]], padding: int
) -> dict[tuple[int, ...], torch.Tensor]:
    """Of the next token, after each of the last tokens of a row: enough of them for any choice."""
    read = {}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        # Padding stands on the right, where no causal position looks at it.
        tokens = torch.full((len(batch), max(map(len, batch))), padding)
        for place, row in zip(tokens, batch, strict=True):
            place[: len(row)] = torch.tensor(row)
        logits = model(input_ids=tokens, use_cache=False).logits
        for row, of_one in zip(batch, logits, strict=True):
            read[row] = of_one[max(0, len(row) - LONGEST_CHOICE) : len(row)].float().log_softmax(-1)
    return read


def _argmax(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def accuracy_by_kind(questions: Sequence[Asked], chosen: Sequence[int]) -> dict[str, float]:
    right = defaultdict(list)
    for question, choice in zip(questions, chosen, strict=True):
        right[question["kind"]].append(choice == question["answer"])
    return {kind: sum(values) / len(values) for kind, values in sorted(right.items())}


def accuracy(questions: Sequence[Asked], chosen: Iterable[int]) -> float:
    return sum(c == question["answer"] for question, c in zip(questions, chosen, strict=True)) / len(questions)


def frequent_answers(stories: int = 5000, seed: int = 1) -> dict[str, Counter[str]]:
    """How often each answer is right in training, for each kind of question."""
    counts = defaultdict(Counter)
    for story in islice(tell_stories(seed, held_out=False), stories):
        for question in story.questions:
            counts[question.kind][f" {question.answer}"] += 1
    return counts


def guess_frequent(questions: Sequence[Asked]) -> list[int]:
    """Takes the choice that was right most often in training, and reads nothing else."""
    counts = frequent_answers()
    return [_argmax([counts[question["kind"]][choice] for choice in question["choices"]]) for question in questions]


def contested_questions(a_kind: int, seed: int = 30_000) -> list[Asked]:
    """Held-out questions whose story tells a wrong answer of the same kind beside the right one."""
    asked = defaultdict(list)
    stories = tell_stories(seed, held_out=True, plots=PLOTS)
    while any(len(asked[kind]) < a_kind for kind in ANSWERS):
        story = next(stories)
        contested = [question for question in story.questions if question.contested]
        question = min(contested, key=lambda question: len(asked[question.kind]))
        asked[question.kind].append(
            {
                "prompt": story.prompt(question),
                "choices": [f" {choice}" for choice in question.choices],
                "answer": question.choices.index(question.answer),
                "kind": question.kind,
            }
        )
    return [question for of_kind in asked.values() for question in of_kind[:a_kind]]


def without_story(question: Asked) -> Asked:
    return question | {"prompt": question["prompt"].rsplit("\n\n", 1)[1]}


def mentioned_guess_accuracy(questions: Sequence[Asked]) -> float:
    """What one expects who picks blindly among the choices that the story mentions."""
    return sum(1 / _mentioned(question) for question in questions) / len(questions)


def _mentioned(question: Asked) -> int:
    story = set(re.findall(r"\w+", question["prompt"].rsplit("\n\n", 1)[0].lower()))
    return sum(choice.lower().split()[-1] in story for choice in question["choices"])


@torch.inference_mode()
def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, context: int) -> float:
    """Over windows that do not overlap, each of them read alone."""
    tokens = torch.tensor(tokenizer(SEPARATOR + text, verbose=False).input_ids)
    windows = tokens[: len(tokens) // context * context].view(-1, context)
    total = 0.0
    for window in windows.split(BATCH):
        logits = model(input_ids=window, use_cache=False).logits[:, :-1].float()
        total += cross_entropy(logits.transpose(1, 2), window[:, 1:], reduction="sum").item()
    return math.exp(total / (windows.size(0) * (context - 1)))


@torch.inference_mode()
def write_story(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, seed: int | None) -> str:
    """Greedy without a seed, sampled with one; up to the first question that it asks about its own story."""
    sampling = {"do_sample": False} if seed is None else {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
    torch.manual_seed(seed or 0)
    inputs = tokenizer(SEPARATOR + prompt, return_tensors="pt", return_token_type_ids=False)
    written = model.generate(**inputs, max_new_tokens=220, **sampling)
    return tokenizer.decode(written[0], skip_special_tokens=True).split("\n\nQuestion:")[0].strip()
