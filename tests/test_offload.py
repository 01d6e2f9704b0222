"""Models of which one block at a time is in memory: they are, to the bit, what they are in memory as a whole."""

import pytest
import torch
from compresslab.engine.job import Job
from compresslab.engine.measuring import reader
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.models.on_disk import OnDisk
from compresslab.engine.models.packing import load_packed
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.rounding import QuantizedWeight, round_to_nearest
from compresslab.errors import BadInput
from compresslab.files.paths import home, run_folder
from compresslab.grids.affine import Affine
from compresslab.models.facts import read_facts
from compresslab.profiles.probes import Probes
from compresslab.recipes.plan import OFFLOAD, make_plan, memory_need, offloaded_need
from compresslab.workspace.oneline import generate, save

from tests.tiny_models import FAMILIES

BATCH = torch.arange(2 * 24).view(2, 24) % 300
STEPS = {
    "nothing": [],
    "pruned": [{"prune_wanda": {"sparsity": 0.5}}],
    "pruned and rounded": [
        {"prune_magnitude": {"sparsity": 0.3}},
        {"quantize_gptq": {"bits": 3, "group_size": 16, "symmetric": False, "embedding_bits": 4}},
    ],
}


def unheard(*_):
    """Nobody watches."""


@pytest.fixture
def offload(monkeypatch):
    """`offload(True)`: from now on, blocks stay on disk."""
    return lambda wanted: monkeypatch.setenv(OFFLOAD, "1" if wanted else "0")


@pytest.fixture
def compress(tiny_recipe):
    """`compress(family, steps, session)`: the recipe and the compressed model."""

    def run(family, steps, session=None, **fields):
        recipe = tiny_recipe(family, *steps, **fields)
        model, _ = (session or Session()).compress(recipe, Job(unheard, lambda: False, Tracker({}, unheard)))
        return recipe, model

    return run


def sequential(recipe):
    return recipe.replace(calibration=recipe.calibration.model_copy(update={"statistics": "sequential"}))


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("family", FAMILIES)
def test_block_by_block_it_becomes_the_same_model(offload, compress, family, steps, tmp_path):
    recipe, whole = compress(family, steps)
    offload(True)
    session = Session()
    _, model = compress(family, steps, session)
    assert (model.offloaded, whole.offloaded) == (True, False)
    assert model.weights_hash() == whole.weights_hash()
    assert model.layout() == whole.layout()
    assert torch.equal(log_probabilities(model, BATCH), log_probabilities(whole, BATCH))
    save(model, tmp_path / "saved")
    again = load_packed(tmp_path / "saved", read_facts(recipe.model), session.choice(recipe))
    assert again.weights_hash() == whole.weights_hash()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sequential_statistics_see_what_was_compressed(offload, tiny_recipe, family, dtype):
    hashes = set()
    for wanted in (False, True):
        offload(wanted)
        recipe = sequential(tiny_recipe(family, {"quantize_gptq": {"bits": 3}}, dtype=dtype))
        model, _ = Session().compress(recipe, Job(unheard, lambda: False, Tracker({}, unheard)))
        assert model.offloaded == wanted
        hashes.add(model.weights_hash())
    assert len(hashes) == 1


@pytest.mark.parametrize("together", [1, 10**9])
def test_scores_are_the_same_and_blocks_are_fetched_for_many_windows(offload, tiny_recipe, monkeypatch, together):
    monkeypatch.setattr(reader, "AHEAD_BYTES", together)
    records = []
    for wanted in (False, True):
        offload(wanted)
        recipe = tiny_recipe("llama", {"quantize_rtn": {"bits": 3}}, metrics=["perplexity", "agreement", "accuracy"])
        records.append(Session().run(recipe, run_id="x", stage="final", report=unheard, cancelled=lambda: False))
    whole, offloaded = records
    assert whole.compressed_hash == offloaded.compressed_hash
    assert whole.measurements == offloaded.measurements
    assert [any(notice.code == "run.offloaded" for notice in record.notices) for record in records] == [False, True]
    assert (run_folder("x") / "model.packed.safetensors").exists()


def test_no_block_stays_in_memory(offload, compress):
    offload(True)
    session = Session()
    recipe, model = compress("llama", STEPS["pruned and rounded"], session)
    log_probabilities(model, BATCH)
    held = {name for name, parameter in model.module.named_parameters() if not parameter.is_meta}
    assert held == {weight.name for weight in model.weights.values() if weight.layer is None}
    whole = sum(parameter.numel() for parameter in model.module.parameters())
    assert 0 < model.memory_bytes < 4 * whole / 2
    baseline = session.baseline(recipe)
    assert baseline.weights_hash() == Session().baseline(recipe).weights_hash() != model.weights_hash()
    assert torch.equal(log_probabilities(baseline, BATCH), log_probabilities(Session().baseline(recipe), BATCH))


def test_a_copy_goes_its_own_way(offload, compress):
    offload(True)
    _, model = compress("llama", [])
    before, hashed = log_probabilities(model, BATCH), model.weights_hash()
    twin = model.copy()
    name = twin.linear_names()[0]
    twin.prune(name, torch.ones_like(twin.weight(name), dtype=torch.bool))
    assert (model.weights_hash(), len(model.masks)) == (hashed, 0)
    assert twin.weights_hash() != hashed
    assert torch.equal(log_probabilities(model, BATCH), before)
    assert not torch.equal(log_probabilities(twin, BATCH), before)


def test_it_writes_the_same_text(offload, compress):
    written = set()
    for wanted in (False, True):
        offload(wanted)
        written.add(generate(compress("llama", STEPS["pruned"])[1], "Mia had a"))
    assert len(written) == 1


# -- on disk -------------------------------------------------------------------------------------


def test_a_mapping_on_disk_gives_back_what_was_put_in():
    kept = OnDisk({}, torch.device("cpu"))
    quantized = [round_to_nearest(torch.randn(4, 10), Affine(3, 4, symmetric)) for symmetric in (True, False)]
    values = {
        "half": torch.randn(3, 4).half(),
        "mask": torch.rand(3, 4) > 0.5,
        "sym": quantized[0],
        "asym": quantized[1],
    }
    kept.update(values)
    assert list(kept) == list(values)
    for name, value in values.items():
        if isinstance(value, QuantizedWeight):
            assert torch.equal(kept[name].dequantize(), value.dequantize())
            assert kept[name].grid == value.grid
        else:
            assert torch.equal(kept[name], value)


def test_files_go_when_nobody_needs_them():
    kept = OnDisk({}, torch.device("cpu"))
    kept["one"] = torch.ones(3)
    twin = kept.copy()
    kept["one"] = torch.zeros(3)
    (folder,) = (home() / "spilled").iterdir()
    assert len(list(folder.iterdir())) == 2
    assert torch.equal(twin["one"], torch.ones(3))
    del twin
    assert len(list(folder.iterdir())) == 1


def test_what_a_killed_process_left_is_taken_away():
    left = home() / "spilled" / "999999999"
    left.mkdir(parents=True)
    OnDisk({}, torch.device("cpu"))["one"] = torch.ones(3)
    assert not left.exists()


# -- the plan -------------------------------------------------------------------------------------


def test_the_plan_takes_this_way_where_two_models_would_not_fit(tiny_recipe, monkeypatch):
    recipe = tiny_recipe("llama", {"quantize_rtn": {"bits": 4}})
    facts = read_facts(recipe.model)
    whole, blockwise = memory_need(recipe, facts), offloaded_need(recipe, facts)
    has = {"total": 10**13, "available": 10**12}
    monkeypatch.setattr("compresslab.recipes.memory.psutil.virtual_memory", lambda: type("Memory", (), has))
    monkeypatch.setattr("compresslab.recipes.memory.limits", list)
    monkeypatch.setattr("compresslab.recipes.memory.kept_warm", lambda: 0)
    plan = make_plan(recipe, facts)
    assert (plan.offloaded, plan.memory_need) == (False, whole)
    has["available"] = whole - 1  # of however much
    monkeypatch.setattr("compresslab.recipes.plan.offloaded_need", lambda *_: blockwise // 1000)
    plan = make_plan(recipe, facts)
    assert (plan.offloaded, plan.memory_need) == (True, blockwise // 1000)
    monkeypatch.setattr("compresslab.recipes.plan.offloaded_need", lambda *_: whole)
    with pytest.raises(BadInput, match="of memory are free"):
        make_plan(recipe, facts)


def test_training_needs_the_whole_model(tiny_recipe, offload):
    offload(True)
    recipe = tiny_recipe("llama", {"distill_logits": {"steps": 1}})
    plan = make_plan(recipe, read_facts(recipe.model))
    assert (plan.offloaded, plan.memory_need) == (False, memory_need(recipe, read_facts(recipe.model)))


def test_the_need_is_that_of_a_block_for_a_deep_model(tiny_recipe):
    from dataclasses import replace

    recipe = tiny_recipe("llama")
    facts = read_facts(recipe.model)
    blocks = [w for w in facts.weights if w.layer == 0]
    more = [replace(w, name=f"{w.name}.{layer}", layer=layer) for layer in range(3, 500) for w in blocks]
    deep = replace(facts, weights=(*facts.weights, *more), layers=500)
    assert offloaded_need(recipe, deep) == offloaded_need(recipe, facts)
    assert memory_need(recipe, deep) > 20 * memory_need(recipe, facts)


def test_its_sensitivity_table_is_that_of_the_whole_model(offload, tiny_recipe):
    """Of two settings and one matrix of each kind, so that it is quick."""
    settings = {"prune_magnitude": {"sparsity": 0.5}, "quantize_rtn": {"bits": 3, "group_size": 16}}
    steps = tiny_recipe("llama", *({name: values} for name, values in settings.items())).steps
    tables = []
    for wanted in (False, True):
        offload(wanted)
        probes = Probes(columns=steps, alone=(), whole=())
        tables.append(Session().sensitivity(tiny_recipe("llama"), probes, report=unheard, cancelled=lambda: False))
    whole, found = tables
    assert [column.losses for column in found.columns] == [column.losses for column in whole.columns]
    assert len(found.columns) == 2
