"""Tiny random checkpoints of every supported family, with a real byte-level BPE tokenizer. Nothing is downloaded."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from compresslab.data.texts import SEPARATOR
from compresslab.engine.models.architecture import AUTO
from compresslab.models import families
from compresslab.models.anatomy import Task
from compresslab.models.family import Family
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, PreTrainedTokenizerFast

VOCABULARY = 320
NAMES, THINGS, COLORS = ["Mia", "Tom", "Ana", "Ben"], ["kite", "hat", "boat", "ball"], ["red", "blue", "green", "pink"]
LABELS = {"id2label": {0: "calm", 1: "merry", 2: "sad"}, "label2id": {"calm": 0, "merry": 1, "sad": 2}}
LAYERS, HIDDEN, HEADS, KV_HEADS, CONTEXT = 3, 32, 4, 2, 64
WIDTH = 52  # of the MLP: divides by no group size on offer


def config_of(family: Family, form: str = "", **changes: Any) -> Any:
    """The config of a tiny model: sizes under the family's own names, and what its file says beside them."""
    body = family.anatomy
    keys, classifies = body.keys, body.task == "classification"
    sizes = {
        keys.depth: LAYERS if body.task == "causal" else 2,
        keys.hidden: HIDDEN,
        keys.heads: HEADS,
        keys.kv_heads: KV_HEADS,
        keys.mlp_width: WIDTH,
        keys.context[0]: CONTEXT,
    }
    values = {key: size for key, size in sizes.items() if key} | {"vocab_size": VOCABULARY, "initializer_range": 0.1}
    values |= {f"{name}_token_id": 0 for name in ("bos", "eos", "pad")} | (LABELS if classifies else {})
    own = {**family.tiny, **(family.tiny_forms[form] if form else {})}
    return AutoConfig.for_model(family.model_type, **values | own | changes)


def configs(*tasks: Task) -> dict[str, Any]:
    """How to make a config, by family, and by form of a family where its forms differ in how they are built."""
    return {
        f"{family.model_type} {form}".strip(): partial(config_of, family, form)
        for family in families.FAMILIES.values()
        for form in ("", *family.tiny_forms)
        if family.anatomy.task in tasks
    }


CONFIGS = configs("causal")
OTHER_TASKS = configs("classification", "seq2seq")
HALF, BRAIN = torch.float16, torch.bfloat16
DTYPES = {
    "llama": HALF,
    "opt": HALF,
    "gpt_neox": HALF,
    "bloom": HALF,
    "qwen2": BRAIN,
    "gemma2": BRAIN,
}  # others: float32
FAMILIES = list(CONFIGS)
# One of each way to build a block, a config or a head. The others differ from these in what their modules compute,
# which is tested where a model runs; a test of what becomes of weights and files would say nothing new of them.
DISTINCT = ["llama", "gpt2", "qwen3", "smollm3", "gemma2", "phi", "phi3", "gpt_neox", "opt narrow"]


def stories(count: int) -> list[str]:
    """Little stories that differ, the same ones every time."""
    return [
        f"{NAMES[n % 4]} had a {COLORS[n // 4 % 4]} {THINGS[n // 16 % 4]}. "
        f"{NAMES[(n + 1 + n // 64) % 4]} saw the {THINGS[n // 16 % 4]} and was happy number {n}."
        for n in range(count)
    ]


def write_texts(folder: Path) -> tuple[Path, Path]:
    """A text of stories and a file of questions."""
    text, questions = folder / "stories.txt", folder / "questions.jsonl"
    text.write_text(SEPARATOR.join(stories(120)), encoding="utf-8")
    lines = [
        {
            "prompt": f"{NAMES[n % 4]} had a {COLORS[n % 3]} {THINGS[n % 4]}. The color was",
            "choices": [" " + color for color in COLORS],
            "answer": n % 3,
            "kind": "color" if n % 2 else "hue",
        }
        for n in range(40)
    ]
    questions.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return text, questions


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained here and now on the stories."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[SEPARATOR], initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(stories(120), trainer)
    special = {"bos_token": SEPARATOR, "eos_token": SEPARATOR, "pad_token": SEPARATOR}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **special)


def write_checkpoint(folder: Path, family: str, seed: int = 0) -> Path:
    """A random checkpoint in Hugging Face form; the weights are the same for the same seed."""
    torch.manual_seed(seed)
    config = (CONFIGS | OTHER_TASKS)[family]()
    model = AUTO[families.FAMILIES[config.model_type].anatomy.task].from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and norms begin as all zeros or all ones, which would hide much
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.to(DTYPES.get(family, torch.float32)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint folder for every family."""
    folder = tmp_path_factory.mktemp("models")
    return {family: write_checkpoint(folder / family, family) for family in FAMILIES}


@pytest.fixture(scope="session")
def tiny_recipe(tiny_folders: dict[str, Path], tiny_texts: tuple[Path, Path]) -> Any:
    """`tiny_recipe(family, *steps, **fields)`: a recipe on tiny models and tiny texts, in float32 on the CPU."""
    from compresslab.recipes.recipe import Recipe

    text, questions = (str(path) for path in tiny_texts)

    def make(family: str, *steps: Any, **fields: Any) -> Recipe:
        plain = {
            "model": str(tiny_folders[family]),
            "steps": list(steps),
            "calibration": {"text": text, "samples": 64, "sequence_length": 32},
            "evaluation": {"text": text, "context_length": 32, "max_tokens": 2048, "questions": questions},
            "device": "cpu",
            "dtype": "float32",
        }
        return Recipe.from_dict(plain | fields)

    return make
