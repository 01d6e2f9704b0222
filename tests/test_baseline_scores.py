"""What a baseline said is kept: small, on disk too, and the same to the last bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compresslab.engine.lru import Budget
from compresslab.engine.measuring.baseline_scores import BaselineScores, Subject
from compresslab.engine.measuring.reader import Reader
from compresslab.engine.models.tasks import log_probabilities
from compresslab.engine.session import Session
from compresslab.messages import Message
from compresslab.profiles import statistics_files

from tests.tiny_models import FAMILIES

SUBJECT = Subject("tokens", "weights", "cpu", torch.float32, "text", 4, 16, "model", Message("questions.bundled"))


@pytest.fixture
def recipe(tiny_recipe):
    return tiny_recipe("llama", {"quantize_rtn": {"bits": 3}}, metrics=["perplexity", "accuracy", "agreement"])


@pytest.fixture
def blocks_run(monkeypatch):
    """Every batch that goes through the blocks of a model, from now on."""
    from compresslab.engine.models import blocks

    batches = []
    original = blocks._answer

    def answer(model, layer, batch):
        batches.append(tuple(batch.shape))
        return original(model, layer, batch)

    monkeypatch.setattr(blocks, "_answer", answer)
    return lambda: [shape for shape in batches if shape != (1, 1)]


def measured(session, recipe):
    found = session.run(recipe, run_id="x", stage="draft", report=lambda event: None, cancelled=lambda: False)
    return [(m.metric, m.variant, m.value, m.error) for m in found.measurements]


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_stand_for_the_log_probabilities_to_the_bit(tiny_recipe, family):
    model = Session().baseline(tiny_recipe(family))
    windows = torch.randint(0, model.facts.vocab_size, (5, 16))
    reader = Reader(model, windows, [(0, 3), (3, 5)], lambda: None, log_probabilities)
    for span in ((0, 3), (3, 5)):
        expected = log_probabilities(model, windows[slice(*span)])
        assert torch.equal(reader.expected(span, reader.states(span)), expected)


def test_another_process_reads_with_one_model_only(recipe, blocks_run):
    first = measured(Session(), recipe)
    before = blocks_run()
    assert before
    assert measured(Session(), recipe) == first
    assert blocks_run() == before


def test_log_probabilities_that_find_no_room_are_computed_anew(recipe, blocks_run):
    roomy, narrow = Session(), Session()
    first = measured(roomy, recipe)
    narrow.scores._most = 0
    before = blocks_run()
    assert measured(narrow, recipe) == first
    assert blocks_run() == before
    assert len(narrow.scores._memory) < len(roomy.scores._memory)


@pytest.mark.parametrize(
    "damage", [lambda f: f.write_bytes(f.read_bytes()[:20]), Path.unlink, lambda f: f.write_bytes(b"")]
)
def test_what_can_not_be_read_is_measured_again(recipe, damage, blocks_run):
    first = measured(Session(), recipe)
    files = sorted(statistics_files.folder().glob("*/*.safetensors"))
    assert files
    for file in files:
        damage(file)
    before = len(blocks_run())
    assert measured(Session(), recipe) == first
    assert len(blocks_run()) > before


def test_it_is_listed_cleared_and_kept_within_its_room(recipe, monkeypatch):
    measured(Session(), recipe)
    kinds = {(entry.kind, str(entry.text)) for entry in statistics_files.entries()}
    assert len(kinds) == 2 and {kind for kind, _ in kinds} == {"baseline"}
    statistics_files.clear()
    monkeypatch.setenv(statistics_files.ROOM, "0")
    measured(Session(), recipe)
    assert statistics_files.entries() == []


def test_a_folder_that_can_not_be_written_costs_nothing_but_time(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(statistics_files, "begin", full)
    said = BaselineScores(Budget(10**6)).get(SUBJECT, (0, 4), lambda: torch.ones(3))
    assert torch.equal(said, torch.ones(3))


def test_threads_and_weights_are_part_of_what_it_is(monkeypatch):
    ids = {SUBJECT.id, replace(SUBJECT, weights="others").id, replace(SUBJECT, read="another").id}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert len(ids | {SUBJECT.id}) == 4
    assert replace(SUBJECT, model="renamed").id == SUBJECT.id
