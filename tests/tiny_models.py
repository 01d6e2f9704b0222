"""Tiny random checkpoints of every supported family, with a real byte-level BPE tokenizer. Nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from compresslab.data.texts import SEPARATOR
from compresslab.engine.models.architecture import AUTO
from compresslab.models.families import ANATOMIES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BartConfig,
    BertConfig,
    BloomConfig,
    DistilBertConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    SmolLM3Config,
    T5Config,
)

VOCABULARY = 320
NAMES, THINGS, COLORS = ["Mia", "Tom", "Ana", "Ben"], ["kite", "hat", "boat", "ball"], ["red", "blue", "green", "pink"]
SPECIAL: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
ALL_HEADS: dict[str, Any] = SPECIAL | {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
}
SHARED: dict[str, Any] = ALL_HEADS | {
    "num_key_value_heads": 2,
    "intermediate_size": 52,  # divides by no group size on offer
}
GPT2 = SPECIAL | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "initializer_range": 0.1}
BLOOM = SPECIAL | {"hidden_size": 32, "n_layer": 3, "n_head": 4, "initializer_range": 0.1, "seq_length": 64}
OPT = ALL_HEADS | {"ffn_dim": 52, "init_std": 0.1}
CONFIGS: dict[str, Any] = {  # by family, and by form of a family where its forms differ in how they are built
    "llama": lambda: LlamaConfig(**SHARED, tie_word_embeddings=True, head_dim=8),
    "mistral": lambda: MistralConfig(**SHARED, tie_word_embeddings=False, head_dim=8),
    "qwen2": lambda: Qwen2Config(**SHARED, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**SHARED, tie_word_embeddings=False, head_dim=16),
    "gpt2": lambda: GPT2Config(**GPT2),
    "smollm3": lambda: SmolLM3Config(**SHARED, no_rope_layer_interval=2),
    "gemma": lambda: GemmaConfig(**SHARED, head_dim=16),
    "gemma2": lambda: Gemma2Config(**SHARED, head_dim=8, sliding_window=16, final_logit_softcapping=2.0),
    "gemma3_text": lambda: Gemma3TextConfig(**SHARED, head_dim=8, sliding_window=16, sliding_window_pattern=2),
    "phi": lambda: PhiConfig(**SHARED),
    "phi3": lambda: Phi3Config(**SHARED),
    "gpt_neox": lambda: GPTNeoXConfig(**ALL_HEADS, intermediate_size=52),
    "gpt_neox sequential": lambda: GPTNeoXConfig(**ALL_HEADS, intermediate_size=52, use_parallel_residual=False),
    "opt": lambda: OPTConfig(**OPT),
    "opt narrow": lambda: OPTConfig(**OPT, word_embed_proj_dim=16, do_layer_norm_before=False),  # as opt-350m
    "bloom": lambda: BloomConfig(**BLOOM),
}
LABELS = {"id2label": {0: "calm", 1: "merry", 2: "sad"}, "label2id": {"calm": 0, "merry": 1, "sad": 2}}
ENCODER: dict[str, Any] = ALL_HEADS | {"intermediate_size": 52, "hidden_size": 32, "num_hidden_layers": 2} | LABELS
DISTILBERT = SPECIAL | LABELS | {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 52}
T5: dict[str, Any] = SPECIAL | {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 52,
    "num_layers": 2,
    "num_heads": 4,
    "n_positions": 64,
}
BART: dict[str, Any] = SPECIAL | {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 52,
    "decoder_ffn_dim": 52,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 0,
    "forced_eos_token_id": None,
    "init_std": 0.1,
}
OTHER_TASKS: dict[str, Any] = {  # encoder classifiers and encoder-decoders
    "bert": lambda: BertConfig(**ENCODER),
    "distilbert": lambda: DistilBertConfig(**DISTILBERT, max_position_embeddings=64, initializer_range=0.1),
    "roberta": lambda: RobertaConfig(**ENCODER | {"max_position_embeddings": 65}),
    "t5": lambda: T5Config(**T5, decoder_start_token_id=0),
    "t5 gated": lambda: T5Config(
        **T5, decoder_start_token_id=0, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
    "bart": lambda: BartConfig(**BART),
}
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
    model = AUTO[ANATOMIES[config.model_type].task].from_config(config)
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
