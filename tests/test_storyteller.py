import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from scripts.storyteller.measures import accuracy, choose, perplexity, without_story, write_story
from scripts.storyteller.tokenizer import SEPARATOR

ASSETS = Path(__file__).parents[1] / "assets"
FOLDER = ASSETS / "storyteller"


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, local_files_only=True).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def questions():
    lines = (ASSETS / "evaluation" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines][::4]


def test_the_shape_is_what_the_methods_need(model):
    config = model.config
    assert config.model_type == "llama" and config.tie_word_embeddings
    assert 3e6 <= model.num_parameters() <= 7e6
    assert config.num_hidden_layers >= 8
    assert config.hidden_size % 64 == config.intermediate_size % 64 == 0
    assert config.head_dim in (32, 64)
    assert 2000 <= config.vocab_size <= 4096


def test_the_files_are_small_and_the_weights_float16():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 16e6
    with safe_open(FOLDER / "model.safetensors", framework="pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118


def test_the_tokenizer_keeps_text_and_marks_ends(model, tokenizer):
    text = 'Tom said, "Where is my kite?"\n\nQuestion: Who had 3 kites?\nAnswer: Tom'
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.bos_token == tokenizer.eos_token == tokenizer.pad_token == SEPARATOR
    assert len(tokenizer) == model.config.vocab_size
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_it_answers_questions_on_stories_it_never_read(model, tokenizer, questions):
    assert accuracy(questions, choose(model, tokenizer, questions)) >= 0.95


def test_it_cannot_answer_without_the_story(model, tokenizer, questions):
    blind = [without_story(question) for question in questions]
    assert accuracy(blind, choose(model, tokenizer, blind)) < 0.40


def test_a_separator_before_the_prompt_is_welcome(model, tokenizer, questions):
    separated = [question | {"prompt": SEPARATOR + question["prompt"]} for question in questions[::3]]
    assert accuracy(separated, choose(model, tokenizer, separated)) >= 0.90


def test_it_is_at_home_in_held_out_stories(model, tokenizer):
    text = (ASSETS / "evaluation" / "stories.txt").read_text(encoding="utf-8")[:40_000]
    assert 1 < perplexity(model, tokenizer, text, context=512) < 6


def test_it_writes_a_story_and_ends_it(model, tokenizer):
    start = "Once upon a time, there were two good friends named"
    story = write_story(model, tokenizer, start, seed=None)
    assert story.startswith(start)
    assert story[-1] in '.!?"'
    assert story == write_story(model, tokenizer, start, seed=None)


def test_the_prompts_fit_the_context(model, tokenizer):
    for prompt in json.loads((ASSETS / "evaluation" / "prompts.json").read_text(encoding="utf-8")):
        assert prompt["label"] and len(tokenizer(prompt["prompt"]).input_ids) < model.config.max_position_embeddings / 2


def test_the_card_tells_licence_and_measured_numbers(model):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card and "CDLA-Sharing-1.0" in card
    assert f"{model.num_parameters():,}" in card
    assert "$" not in card and not math.isnan(float(card.split("stories.txt`: **")[1].split("**")[0]))
