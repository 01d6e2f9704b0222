"""Generation: the very tokens that transformers gives, streamed, in whole characters."""

import pytest
import torch
from compresslab.engine.generation import Author, _Writer, write_pane
from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import Session
from compresslab.errors import BadInput, Cancelled
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import PaneDone, Token
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny_models import FAMILIES

PROMPT = "Mia had a red"


@pytest.fixture(scope="module")
def session():
    return Session()


def generate(session, *panes, prompt=PROMPT, cancelled=lambda: False, **decoding):
    """Every event of a request."""
    events = []
    request = GenerateRequest(prompt=prompt, panes=panes, decoding=Decoding(**decoding), device="cpu", dtype="float32")
    session.generate(request, report=events.append, cancelled=cancelled)
    return events


def tokens(events, pane=0):
    return [event.token_id for event in events if event.kind == "token" and event.pane == pane]


def done(events):
    return [event for event in events if event.kind == "pane_done"]


def plain(folder, **settings):
    """What transformers generates by itself, without the end-of-text token."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(folder)
    prompt = words(PROMPT, return_tensors="pt")
    torch.manual_seed(settings.pop("seed", 0))
    ids = model.generate(prompt.input_ids, attention_mask=torch.ones_like(prompt.input_ids), **settings)
    new = ids[0, prompt.input_ids.shape[1] :].tolist()
    return new[: new.index(0)] if 0 in new else new


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_that_of_transformers(session, tiny_folders, family):
    folder = str(tiny_folders[family])
    events = generate(session, Pane(label="b", source="baseline", model=folder), max_new_tokens=12)
    assert tokens(events) == plain(folder, max_new_tokens=12, do_sample=False)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_beam_search_is_that_of_transformers(session, tiny_folders, family):
    folder = str(tiny_folders[family])
    events = generate(
        session, Pane(label="b", source="baseline", model=folder), max_new_tokens=10, strategy="beam", beams=3
    )
    assert tokens(events) == plain(folder, max_new_tokens=10, do_sample=False, num_beams=3)
    assert done(events)[0].decode_tokens_per_second is None
    assert any(event.kind == "notice" and "Beam search" in str(event.text) for event in events)


def test_sampling_is_that_of_transformers_from_the_same_seed(session, tiny_folders):
    folder = str(tiny_folders["llama"])
    pane = Pane(label="b", source="baseline", model=folder)
    settings = {"strategy": "sample", "sampling_temperature": 0.9, "top_p": 0.8, "max_new_tokens": 12}
    events = generate(session, pane, pane, seed=3, **settings)
    expected = plain(folder, max_new_tokens=12, do_sample=True, temperature=0.9, top_p=0.8, top_k=0, seed=3)
    assert tokens(events, 0) == tokens(events, 1) == expected
    assert tokens(generate(session, pane, seed=4, **settings)) != expected


def test_sampling_leaves_the_random_numbers_of_others_alone(session, tiny_folders):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    generate(session, Pane(label="b", source="baseline", model=str(tiny_folders["llama"])), strategy="sample")
    assert torch.equal(torch.rand(3), expected)


def test_panes_follow_each_other_each_with_the_hash_of_its_weights(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"prune_magnitude": {"sparsity": 0.6}}, metrics=["perplexity"])
    record = session.run(recipe, run_id="panes", stage="final", report=lambda event: None, cancelled=lambda: False)
    panes = (
        Pane(label="baseline", source="baseline", model=recipe.model),
        Pane(label="saved", source="run", run_id="panes"),
        Pane(label="on the spot", source="recipe", recipe=recipe.to_dict()),
    )
    events = generate(session, *panes, max_new_tokens=8)
    hashes = [event.weights_hash for event in events if event.kind == "pane_started"]
    assert hashes == [record.baseline_hash, record.compressed_hash, record.compressed_hash]
    assert tokens(events, 1) == tokens(events, 2)
    order = [event.pane for event in events if event.kind in ("pane_started", "token", "pane_done")]
    assert order == sorted(order)
    assert [event.kernel for event in done(events)] == ["real", "simulated", "simulated"]


def test_what_streams_is_what_was_written(session, tiny_folders):
    pane = Pane(label="b", source="baseline", model=str(tiny_folders["gpt2"]))
    events = generate(session, pane, strategy="sample", sampling_temperature=2.0, top_p=1.0, max_new_tokens=40)
    written = "".join(event.text for event in events if event.kind == "token")
    (finished,) = done(events)
    assert finished.text == written and written
    assert finished.tokens == len(tokens(events))
    words = AutoTokenizer.from_pretrained(tiny_folders["gpt2"])
    whole = words.decode(words(PROMPT).input_ids + tokens(events))
    assert whole.startswith(PROMPT + written)
    assert set(whole.removeprefix(PROMPT + written)) <= {"\ufffd"}  # half a character at the very end
    assert finished.ttft_seconds > 0 and finished.decode_tokens_per_second > 0


def test_half_a_character_waits_for_its_other_half(session, tiny_recipe):
    model = session.baseline(tiny_recipe("llama"))
    words = model.tokenizer
    ids = words("a née 漢字 ok").input_ids
    assert any("\ufffd" in words.decode([token]) for token in ids)
    told = []
    start = words("Mia").input_ids
    writer = _Writer(model, start, lambda: None, lambda token: told.append(token.text))
    writer.put(torch.tensor([start]))
    for token in ids:
        writer.put(torch.tensor([token]))
    assert "".join(told) == writer.text == "a née 漢字 ok"
    assert not any("\ufffd" in text for text in told)


def test_the_end_of_text_token_ends_it_and_is_not_shown(session, tiny_recipe):
    model = session.baseline(tiny_recipe("llama"))
    told = []
    writer = _Writer(model, [5], lambda: None, told.append)
    for value in ([5], [40], [0]):
        writer.put(torch.tensor(value))
    assert [token.token_id for token in told] == [40]


def test_a_prompt_longer_than_the_context_is_refused(session, tiny_folders):
    pane = Pane(label="b", source="baseline", model=str(tiny_folders["llama"]))
    with pytest.raises(BadInput, match=r"prompt has \d+ tokens, and the model reads at most 64"):
        generate(session, pane, prompt="Mia saw the kite. " * 40)


def test_an_answer_ends_where_the_context_ends(session, tiny_folders):
    pane = Pane(label="b", source="baseline", model=str(tiny_folders["llama"]))
    events = generate(session, pane, max_new_tokens=500)
    assert len(tokens(events)) <= 64 - 4
    assert any(event.kind == "notice" and "context is full" in str(event.text) for event in events)


def test_an_empty_prompt_begins_a_new_text(session, tiny_folders):
    pane = Pane(label="b", source="baseline", model=str(tiny_folders["gpt2"]))
    assert tokens(generate(session, pane, prompt="", max_new_tokens=3))


def test_a_run_that_is_gone_is_named(session):
    with pytest.raises(BadInput, match="no saved run 'nothere'"):
        generate(session, Pane(label="r", source="run", run_id="nothere"))


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_stop_is_seen_between_tokens(session, tiny_recipe, strategy):
    model = session.baseline(tiny_recipe("llama"))
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 5

    job = Job(lambda event: None, cancelled, Tracker({}, lambda event: None))
    decoding = Decoding(strategy=strategy, max_new_tokens=50)
    with pytest.raises(Cancelled):
        write_pane(Author(model, TorchRuntime(model)), PROMPT, decoding, 0, "b", job)
    assert len(calls) == 6


@pytest.mark.parametrize("run_id", ["..", "../panes", ""])
def test_a_run_id_is_never_a_way_out_of_the_runs_folder(session, run_id):
    with pytest.raises(BadInput, match="no saved run"):
        generate(session, Pane(label="r", source="run", run_id=run_id))


def test_a_recipe_that_makes_no_sense_is_refused(session, tiny_recipe):
    recipe = tiny_recipe("llama", "quantize_rtn", "quantize_rtn").to_dict()
    with pytest.raises(BadInput, match="Step 2"):
        generate(session, Pane(label="r", source="recipe", recipe=recipe))


def test_every_word_carries_its_probability_and_the_likeliest_others(session):
    told = written(session, strategy="greedy", max_new_tokens=12)
    assert len(told) == 12
    for token in told:
        assert [p for _, p in token.alternatives] == sorted((p for _, p in token.alternatives), reverse=True)
        assert token.probability == token.alternatives[0][1]  # greedy takes the likeliest
        assert sum(p for _, p in token.alternatives) <= 1.0 + 1e-6


def test_the_probability_is_the_models_own_whatever_the_temperature(session):
    careful = written(session, strategy="greedy", max_new_tokens=1)[0]
    daring = written(session, strategy="sample", max_new_tokens=1, sampling_temperature=2.0, top_p=1.0)[0]
    assert daring.alternatives == careful.alternatives


def test_beams_say_no_probability(session):
    assert {token.probability for token in written(session, strategy="beam", max_new_tokens=4)} == {None}


def test_further_prompts_are_answered_as_if_each_had_been_asked_alone(session):
    panes = tuple(Pane(label=label, source="baseline", model="storyteller") for label in "ab")
    decoding = Decoding(max_new_tokens=8)
    request = GenerateRequest(prompt=PROMPT, further=("Ben was", "One day"), panes=panes, decoding=decoding)
    events = []
    session.generate(request, report=events.append, cancelled=lambda: False)
    texts = {event.pane: event.text for event in events if isinstance(event, PaneDone)}
    assert not [event for event in events if isinstance(event, Token)]
    for place, prompt in enumerate(request.prompts):
        alone = session.generate_text(session.baseline(Recipe()), prompt, decoding)
        assert texts[2 * place] == texts[2 * place + 1] == alone


def written(session, **decoding):
    """The tokens that the bundled model's baseline tells."""
    events = []
    pane = Pane(label="b", source="baseline", model="storyteller")
    request = GenerateRequest(prompt=PROMPT, panes=(pane,), decoding=Decoding(**decoding))
    session.generate(request, report=events.append, cancelled=lambda: False)
    return [event for event in events if isinstance(event, Token)]
