"""Where texts end, and how a model's makers would have it write: as `model.generate` of transformers knows it."""

import json

import pytest
import torch
from compresslab.engine.generation import BROKEN
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.engine.session import Session
from compresslab.errors import BadInput
from compresslab.exports.onnx import Onnx
from compresslab.exports.transformers import Transformers
from compresslab.exports.write_gguf import vocabulary_of
from compresslab.models.facts import read_facts
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane
from compresslab.workspace.oneline import save
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tiny_models import stories, write_checkpoint

PROMPT = stories(1)[0]
SETTINGS = {"max_new_tokens": 24}
OWN = {"eos_token_id": [0, 7, 9], "do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.3}
CPU = Choice(torch.device("cpu"), torch.float32, "", "")


def edit(folder, config=None, generation=None):
    """Change config.json (None takes a key away), and write generation_config.json, or have none."""
    said = json.loads((folder / "config.json").read_text()) | (config or {})
    (folder / "config.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    file = folder / "generation_config.json"
    file.unlink(missing_ok=True)
    if generation is not None:
        file.write_text(generation if isinstance(generation, str) else json.dumps(generation))


@pytest.fixture
def folder(tmp_path):
    return write_checkpoint(tmp_path / "model", "llama", seed=3)


def write(folder, session=None, **decoding):
    events = []
    panes = (Pane(label="b", source="baseline", model=str(folder)),)
    wanted = Decoding(**SETTINGS | decoding)
    request = GenerateRequest(
        prompt=PROMPT, panes=panes, decoding=wanted, device="cpu", dtype="float32", runtime="torch"
    )
    (session or Session()).generate(request, report=events.append, cancelled=lambda: False)
    return [event.token_id for event in events if event.kind == "token"], events[-1].text


def theirs(folder, auto=AutoModelForCausalLM, **settings):
    """What transformers writes by itself: tokens, and text."""
    model, words = auto.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    ids = words(PROMPT, return_tensors="pt").input_ids
    torch.manual_seed(0)
    found = model.generate(ids, attention_mask=torch.ones_like(ids), **SETTINGS | settings)
    new = found[0, 1 if auto is AutoModelForSeq2SeqLM else ids.shape[1] :].tolist()
    return new, words.decode(new, skip_special_tokens=True).rstrip(BROKEN)


@pytest.mark.parametrize(
    ("config", "generation"),
    [
        ({"eos_token_id": 5}, None),
        ({"eos_token_id": [5, 7]}, None),
        ({"eos_token_id": None}, None),
        ({"eos_token_id": 5}, {"eos_token_id": [9, 7, 9]}),
        ({"eos_token_id": [5, 7]}, {"eos_token_id": 9}),
        ({"eos_token_id": 5}, {"temperature": 0.7}),
        ({"eos_token_id": 5}, {"eos_token_id": None}),
    ],
)
def test_texts_end_where_transformers_ends_them(folder, config, generation):
    edit(folder, config, generation)
    expected = AutoModelForCausalLM.from_pretrained(folder).generation_config.eos_token_id
    several = expected if isinstance(expected, list) else [] if expected is None else [expected]
    model = load_baseline(str(folder), CPU)
    assert set(read_facts(str(folder)).generation.ends) == set(several)
    assert set(model.module.generation_config.eos_token_id or []) == set(several)


def test_an_answer_ends_at_any_of_them_a_word_too(folder):
    edit(folder, {"eos_token_id": 0}, {"eos_token_id": 0})
    long, _ = write(folder)
    stop = long[3]  # an ordinary token, which ends the text and belongs to it
    edit(folder, {"eos_token_id": 0}, {"eos_token_id": [0, stop], "do_sample": True, "temperature": 0.3})
    found, text = write(folder)
    assert found == long[: long.index(stop) + 1]
    assert (found, text) == theirs(folder, do_sample=False)


def test_its_habits_are_followed_where_that_is_asked_and_nowhere_else(folder):
    edit(folder, {}, {"eos_token_id": 0})
    plain = {way: write(folder, strategy=way) for way in ("greedy", "sample", "beam")}
    edit(folder, {}, OWN | {"eos_token_id": 0})
    assert {way: write(folder, strategy=way) for way in plain} == plain
    found, _ = write(folder, strategy="model")
    expected, _ = theirs(folder)
    assert found == expected[: expected.index(0)] if 0 in expected else found == expected
    assert found != plain["greedy"][0]


def test_beams_of_its_own_are_searched(folder):
    edit(folder, {}, {"eos_token_id": 0, "num_beams": 3, "no_repeat_ngram_size": 2})
    found, _ = write(folder, strategy="model")
    expected, _ = theirs(folder)
    assert found == [token for token in expected if token != 0]


@pytest.mark.parametrize("way", ["greedy", "model"])
def test_what_it_forbids_and_asks_for_holds_for_every_way_of_choosing(folder, way):
    first, _ = write(folder)
    edit(folder, {}, {"eos_token_id": [0, first[2]], "suppress_tokens": first[:1], "min_new_tokens": 6})
    found, text = write(folder, strategy=way)
    assert first[0] not in found and len(found) >= 6
    assert (found, text) == theirs(folder, do_sample=False)


def test_a_text_ends_at_words_too(folder):
    edit(folder, {}, {"eos_token_id": 0})
    long, text = write(folder)
    words = AutoTokenizer.from_pretrained(folder)
    edit(folder, {}, {"eos_token_id": 0, "stop_strings": [words.decode(long[4:6])]})
    found, shorter = write(folder)
    assert found == long[: len(found)] and len(found) <= 6 and text.startswith(shorter)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_begins_as_its_file_says(tmp_path, family):
    folder = write_checkpoint(tmp_path / "model", family)
    own = {"eos_token_id": [0, 3], "decoder_start_token_id": 8, "pad_token_id": 0}
    edit(folder, {"decoder_start_token_id": 0}, own)
    found, text = write(folder)
    expected, said = theirs(folder, AutoModelForSeq2SeqLM, do_sample=False)
    assert found == [token for token in expected if token != 0] and text == said
    edit(folder, {}, own | {"forced_bos_token_id": 11})
    assert write(folder)[0][0] == 11


def test_whoever_takes_the_model_along_takes_its_file_along(folder, tmp_path):
    edit(folder, {"eos_token_id": 0}, OWN)
    model = load_baseline(str(folder), CPU)
    save(model, tmp_path / "saved")
    Transformers().write(model, tmp_path / "plain")
    Onnx().write(model, tmp_path / "onnx")
    for place in ("saved", "plain", "onnx"):
        assert json.loads((tmp_path / place / "generation_config.json").read_text()) == OWN
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "plain").generation_config.temperature == 0.6
    assert vocabulary_of(model, model.module.config.to_dict()).ids["eos"] == 0
    edit(folder, {"eos_token_id": [7, 9], "temperature": 0.4}, None)
    without = load_baseline(str(folder), CPU)
    Transformers().write(without, tmp_path / "plain")
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").generation_config
    assert (written.eos_token_id, written.temperature) == ([7, 9], 0.4)
    ends = vocabulary_of(without, without.module.config.to_dict()).ids
    assert (ends["eos"], ends["eot"]) == (7, 9)


@pytest.mark.parametrize(
    ("config", "generation", "code"),
    [
        ({}, "not json", "model.generation_not_json"),
        ({}, "[" * 100_000, "model.generation_not_json"),
        ({}, '{"eos_token_id": ' + "9" * 5000 + "}", "model.generation_not_json"),
        ({}, "[1, 2]", "model.generation_not_json"),
        ({}, {"eos_token_id": "</s>"}, "model.generation_token"),
        ({}, {"eos_token_id": [1, None]}, "model.generation_token"),
        ({}, {"pad_token_id": 2.5}, "model.generation_token"),
        ({}, {"forced_eos_token_id": {"a": 1}}, "model.generation_token"),
        ({"eos_token_id": True}, None, "model.generation_token"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_sentence(folder, config, generation, code):
    edit(folder, config, generation)
    with pytest.raises(BadInput) as refused:
        read_facts(str(folder))
    assert refused.value.code == code and len(str(refused.value)) < 300


NONSENSE = [{"num_beams": "many"}, {"temperature": "hot", "do_sample": True}, {"top_k": -3.5, "do_sample": True}]


@pytest.mark.parametrize("own", NONSENSE)
def test_habits_that_make_no_sense_hinder_nobody_else(folder, own):
    edit(folder, {}, {"eos_token_id": 0} | own)
    assert write(folder)
    with pytest.raises(BadInput) as refused:
        write(folder, strategy="model")
    assert refused.value.code == "generate.defaults_refused"


def test_a_negative_token_stands_for_none(folder):
    edit(folder, {}, {"eos_token_id": [7, -1], "pad_token_id": -1})
    own = read_facts(str(folder)).generation
    assert own.ends == (7,) and own.padding is None and own.edges()["pad_token_id"] == 7
