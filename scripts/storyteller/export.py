"""Writes a trained model in Hugging Face form, with the record of its training."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .model import CONTEXT
from .tokenizer import SEPARATOR


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    told_tokens: int = 0
    text_tokens: int = 0
    seconds: float = 0.0
    threads: int = 0
    stage: int = 0
    answer_loss: float = 10.0  # a running average; at first worse than any guess


# Written by hand, because what transformers 5 writes here cannot be read by transformers 4.
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": SEPARATOR,
    "eos_token": SEPARATOR,
    "pad_token": SEPARATOR,
    "model_max_length": CONTEXT,
    "clean_up_tokenization_spaces": False,
}


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, progress: Progress, folder: Path) -> None:
    """Replaces the folder by renaming, so that no one ever loads half a model."""
    fresh, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    model.half().save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    _write_json(fresh / "tokenizer_config.json", TOKENIZER_CONFIG)
    _write_json(fresh / "training.json", asdict(progress))
    (fresh / "model.safetensors").chmod(0o644)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
