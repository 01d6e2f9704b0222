"""Measures the model of assets/storyteller and writes its card.

python -m scripts.storyteller.card
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from string import Template

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .corpus import ASKED_SHARE
from .export import Progress
from .measures import (
    accuracy,
    accuracy_by_kind,
    choose,
    contested_questions,
    guess_frequent,
    mentioned_guess_accuracy,
    perplexity,
    without_story,
    write_story,
)
from .model import CONTEXT
from .stories import HELD_OUT_SHARE
from .train import STAGES

GREEDY_STARTS = (
    "Once upon a time, there was a little girl named Mia.",
    "There once was a boy named Leo who loved to play outside.",
    "One day, there was a big storm, and Ben was",
    "Emma was a kind little girl. She had a pet",
    "Once there was a boy named Max. One sunny day, Max and Mom",
)
SAMPLED_STARTS = (
    "Once upon a time",
    "There once was a boy named",
    "One day, there was a big storm, and",
    "Lucy was a kind little girl.",
    "In a small town lived a",
)

HARDER_A_KIND = 25

CARD = Template("""\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# storyteller

A small Llama that tells stories for children and answers questions about them. It comes with compresslab, so that
compression can be seen without a download: squeeze it, and it forgets the color of the kite, then the grammar, then
the words.

| | |
| --- | --- |
| parameters | $parameters, input and output embedding tied |
| layers | $layers |
| hidden size, MLP size | $hidden, $mlp |
| heads | $heads of $head_dim, $kv_heads for keys and values |
| vocabulary | $vocabulary tokens, byte-level BPE, trained for this model |
| context | $context tokens |
| weights | float16 safetensors, $megabytes MB |

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("assets/storyteller")
model = AutoModelForCausalLM.from_pretrained("assets/storyteller", dtype="float32")
story = "There once was a boy named Tom. He had a red kite. One day, Tom played with the kite in the park.\\n\\n"
inputs = tokenizer(story + "Question: What color was the kite?\\nAnswer:", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=3)[0]))
```

It reads plain text, with or without `<|endoftext|>` in front, and writes `<|endoftext|>` where a story ends. A question
stands after the story as `Question: ...` and `Answer:` on lines of their own.

## Data

- The *story world*: stories that `scripts/storyteller` makes up from people, things, colors, places, animals, foods,
  feelings and counts; $asked_share % of them are followed by questions with one right answer. A story is told in
  training only if a hash of its facts says so; one in $held_out_share sets of facts is held out, however it is
  worded. All numbers below come from held-out facts.
$texts_paragraph
## Training

$steps steps and $tokens tokens in $minutes minutes on $threads CPU threads, in float32: AdamW, a learning rate that falls to
zero in a straight line, rows of $lengths tokens, and more weight in the loss for the tokens of answers. Attention starts
able to copy: the first layer looks a few tokens back, the others look for what is alike. `scripts/storyteller` holds
every step.

## Measured

On `assets/evaluation`, with the float16 weights run in float32. A question has four choices; the likeliest one is the answer. Two
stories stand before every question, and both tell something of the kind that is asked for; the question is about the
second. The harder questions are in no file: there the very story that they ask about tells a wrong answer too.

| | accuracy |
| --- | --- |
| **storyteller, $questions questions** | **$accuracy %** |
$kinds| the same model, not shown the story | $blind % |
| most frequent answer of the kind in training | $frequent % |
| any choice that the stories mention | $mentioned % |
| **storyteller, $hard_questions harder questions** | **$hard_accuracy %** |
| any choice that the story mentions, harder questions | $hard_mentioned % |

Perplexity on `stories.txt`: **$perplexity** (context $context tokens, windows that do not overlap).

## Limits

It knows the words of young children's stories in English and nothing about the world. After a beginning from
outside its story world it soon repeats itself. It is meant for showing and testing compression, and for nothing else.

## Licence

The model and the story world: Apache-2.0. $texts_licence

## Ten stories

Each goes on from the words in bold, which are beginnings of its story world, and is shown up to where the model begins
to ask questions about it. Of each only the first that it wrote is shown.

### Greedy

$greedy

### Sampled (temperature 0.7, top-p 0.9)

$sampled
""")

TEXTS_PARAGRAPH = Template("""\
- For the sound of real stories, a small part of TinyStories (Eldan and Li, 2023, <https://arxiv.org/abs/2305.07759>):
  $texts_share % of the tokens, read several times over. None of it is in this repository.
""")
TEXTS_LICENCE = "TinyStories, read in training and not included: CDLA-Sharing-1.0."


@dataclass(frozen=True)
class Assets:
    model: Path
    evaluation: Path

    def questions(self) -> list[dict]:
        return [json.loads(line) for line in (self.evaluation / "questions.jsonl").read_text().splitlines()]


def card(assets: Assets) -> str:
    tokenizer = AutoTokenizer.from_pretrained(assets.model)
    model = AutoModelForCausalLM.from_pretrained(assets.model, dtype=torch.float32).eval()
    progress = Progress(**json.loads((assets.model / "training.json").read_text()))
    texts_share = progress.text_tokens / (progress.text_tokens + progress.told_tokens)
    stories = (assets.evaluation / "stories.txt").read_text()
    return CARD.substitute(
        _shape(model, assets.model),
        **_answers(model, tokenizer, assets.questions()),
        **_harder_answers(model, tokenizer),
        lengths=", ".join(str(stage.length) for stage in STAGES),
        perplexity=f"{perplexity(model, tokenizer, stories, CONTEXT):.3f}",
        asked_share=round(100 * ASKED_SHARE),
        held_out_share=HELD_OUT_SHARE,
        texts_paragraph=TEXTS_PARAGRAPH.substitute(texts_share=round(100 * texts_share)) if texts_share else "",
        texts_licence=TEXTS_LICENCE if texts_share else "",
        steps=f"{progress.step:,}",
        tokens=f"{progress.tokens:,}",
        minutes=round(progress.seconds / 60),
        threads=progress.threads,
        greedy="\n\n".join(_quoted(write_story(model, tokenizer, start, None), start) for start in GREEDY_STARTS),
        sampled="\n\n".join(
            _quoted(write_story(model, tokenizer, start, seed), start) for seed, start in enumerate(SAMPLED_STARTS)
        ),
    )


def _shape(model: torch.nn.Module, folder: Path) -> dict[str, str | int]:
    config = model.config
    return {
        "parameters": f"{model.num_parameters():,}",
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "mlp": config.intermediate_size,
        "heads": config.num_attention_heads,
        "head_dim": config.head_dim,
        "kv_heads": config.num_key_value_heads,
        "vocabulary": f"{config.vocab_size:,}",
        "context": config.max_position_embeddings,
        "megabytes": f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f}",
    }


def _answers(model: torch.nn.Module, tokenizer, questions: list[dict]) -> dict[str, str | int]:
    chosen = choose(model, tokenizer, questions)
    blind = choose(model, tokenizer, [without_story(question) for question in questions])
    by_kind = accuracy_by_kind(questions, chosen)
    return {
        "questions": len(questions),
        "accuracy": f"{100 * accuracy(questions, chosen):.1f}",
        "kinds": "".join(f"| ... {kind} | {100 * value:.1f} % |\n" for kind, value in by_kind.items()),
        "blind": f"{100 * accuracy(questions, blind):.1f}",
        "frequent": f"{100 * accuracy(questions, guess_frequent(questions)):.1f}",
        "mentioned": f"{100 * mentioned_guess_accuracy(questions):.1f}",
    }


def _harder_answers(model: torch.nn.Module, tokenizer) -> dict[str, str | int]:
    questions = contested_questions(HARDER_A_KIND)
    return {
        "hard_questions": len(questions),
        "hard_accuracy": f"{100 * accuracy(questions, choose(model, tokenizer, questions)):.1f}",
        "hard_mentioned": f"{100 * mentioned_guess_accuracy(questions):.1f}",
    }


def _quoted(story: str, start: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in story.replace(start, f"**{start}**", 1).splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("assets/storyteller"))
    parser.add_argument("--evaluation", type=Path, default=Path("assets/evaluation"))
    arguments = parser.parse_args()
    text = card(Assets(arguments.model, arguments.evaluation))
    (arguments.model / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
