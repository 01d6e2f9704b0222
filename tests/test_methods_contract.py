"""What every method must keep to, on tiny models of every supported family."""

from math import prod

import pytest
import torch
from compresslab.contract import cases, check_earlier_zeros
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.models.packing import WEIGHTS, load_packed
from compresslab.engine.session import Session
from compresslab.files.paths import run_folder
from compresslab.grids.affine import Affine
from compresslab.models.facts import read_facts
from compresslab.models.packed_layout import file_bytes
from compresslab.planning.estimate import estimate
from compresslab.recipes.layerwise import matches
from compresslab.recipes.method import METHODS
from compresslab.recipes.plan import make_plan
from compresslab.workspace.oneline import save

from tests.tiny_models import DISTINCT, FAMILIES

CASES = [{name: case} for name, method in METHODS.items() for case in cases(method)]
SAME_SHAPES = [
    step for step in CASES if not any(METHODS[name].kind == "prune" and METHODS[name].renews for name in step)
]
COMBINED = [
    [{"prune_magnitude": {"sparsity": 0.4}}, {"quantize_rtn": {"bits": 4, "group_size": 16}}],
    [{"quantize_rtn": {"bits": 4, "symmetric": False}}, {"prune_magnitude": {"sparsity": 0.6}}],
    [
        {"prune_magnitude": {"sparsity": 0.5}},
        {"distill_logits": {"steps": 2, "batch": 2, "student_layers": 2}},
        {"quantize_rtn": {"bits": 3, "embedding_bits": 4, "head_bits": 5}},
    ],
    [{"prune_magnitude": {"sparsity": 0.3}}, {"prune_magnitude": {"sparsity": 0.6}}],
    [{"prune_wanda": {"sparsity": 0.5}}, {"quantize_gptq": {"bits": 3}}],
    [
        {"prune_sparsegpt": {"n_of_m": "2:4"}},
        {"quantize_gptq": {"bits": 3, "group_size": 16, "symmetric": False}},
        {"distill_logits": {"steps": 3, "batch": 2}},
    ],
    [
        {"prune_layers": {"layers": 1}},
        {"prune_channels": {"round_to": 4}},
        {"prune_magnitude": {"sparsity": 0.5}},
        {"quantize_rtn": {"bits": 4, "group_size": 16}},
    ],
]
NOTHING = [
    [],
    [{"prune_magnitude": {"sparsity": 0}}],
    [{"distill_logits": {"steps": 0}}],
    [{"prune_layers": {"layers": 0}}, {"prune_channels": {"mlp": 0, "heads": 0}}],
]
# Put next to the function: pytest then runs all cases of one family in turn, and its baseline is loaded once.
every_family = pytest.mark.parametrize("family", FAMILIES)
distinct_families = pytest.mark.parametrize("family", DISTINCT)


def quiet(event):
    """Nobody watches."""


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def compress(session, tiny_recipe):
    """`compress(family, *steps)`: the recipe, its baseline and the compressed model."""
    from compresslab.engine.job import Job
    from compresslab.engine.progress import Tracker

    def run(family, *steps, warm=session, **fields):
        recipe = tiny_recipe(family, *steps, **fields)
        _skip_what_a_family_refuses(recipe)
        model, _ = warm.compress(recipe, Job(quiet, lambda: False, Tracker({}, quiet)))
        return recipe, warm.baseline(recipe), model

    return run


def _skip_what_a_family_refuses(recipe):
    """Where config.json has no say in a width, nothing can change it; tests/test_structured.py holds the refusal."""
    anatomy = read_facts(recipe.model).anatomy
    for step in recipe.steps:
        if step.name == "prune_channels":
            fixed = (step.mlp and anatomy.keys.mlp_width is None) or (step.heads and anatomy.head_count == "fixed")
            if fixed:
                pytest.skip("this family ties that width to the hidden size")


def logits(model):
    batch = torch.arange(2 * 24).view(2, 24) % 300
    return log_probabilities(model, batch)


@pytest.mark.parametrize("steps", NOTHING)
@every_family
def test_nothing_asked_is_nothing_changed(compress, family, steps):
    _, baseline, model = compress(family, *steps)
    assert model.weights_hash() == baseline.weights_hash()
    assert torch.equal(logits(model), logits(baseline))
    assert model.kernel == "real"
    shared = dict(baseline.module.named_parameters())
    assert all(parameter is shared[name] for name, parameter in model.module.named_parameters())


@every_family
def test_the_engine_answers_as_transformers_does(compress, tiny_folders, family):
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_folders[family], dtype=torch.float32)
    batch = torch.arange(40).view(1, 40)
    _, baseline, _ = compress(family)
    with torch.inference_mode():
        expected = plain(batch, use_cache=False).logits[:, :-1].log_softmax(-1)
    found = log_probabilities(baseline, batch)
    if family == "gpt2":  # a transposed matrix may be multiplied in another order
        assert torch.allclose(found, expected, atol=1e-5)
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("step", CASES, ids=str)
@every_family
def test_it_changes_only_what_it_was_asked_to(compress, family, step):
    (name, settings), *_ = step.items()
    _, baseline, model = compress(family, step)
    if METHODS[name].renews:
        assert set(model.linear_names()) <= set(baseline.linear_names())
        return
    touched = set(baseline.linear_names())
    touched |= set(baseline.embedding_names()) if settings.get("embedding_bits") else set()
    changed = {n for n in baseline.stored if not torch.equal(baseline.weight(n), model.weight(n))}
    assert changed and changed <= touched
    assert baseline.weights_hash() == Session().baseline(_recipe_of(baseline)).weights_hash()


def _recipe_of(baseline):
    from compresslab.recipes.recipe import Recipe

    return Recipe(model=baseline.facts.name, device="cpu", dtype="float32")


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
@distinct_families
def test_pruning_meets_its_target_in_every_matrix(compress, family, sparsity):
    _, baseline, model = compress(family, {"prune_magnitude": {"sparsity": sparsity}})
    for name in model.linear_names():
        w, before = model.weight(name), baseline.weight(name)
        zeros = w == 0
        assert int(zeros.sum()) == round(sparsity * w.numel())
        assert torch.equal(w[~zeros], before[~zeros])
        assert before[zeros].abs().max() <= before[~zeros].abs().min()


@distinct_families
def test_global_pruning_meets_its_target_in_all(compress, family):
    _, _, model = compress(family, {"prune_magnitude": {"sparsity": 0.4, "ratios": "global"}})
    weights = [model.weight(name) for name in model.linear_names()]
    total = sum(w.numel() for w in weights)
    assert sum(int((w == 0).sum()) for w in weights) == round(0.4 * total)
    assert model.sparsity() == pytest.approx(0.4, abs=1 / total)


@pytest.mark.parametrize("ratios", ["uniform", "global", "outliers"])
@pytest.mark.parametrize("method", ["prune_magnitude", "prune_wanda"])
@distinct_families
def test_an_exception_is_kept_whatever_the_ratios(compress, family, method, ratios):
    facts = compress(family)[1].facts
    excepted = f"{facts.anatomy.blocks}.0.*"
    step = {method: {"sparsity": 0.3, "ratios": ratios, "overrides": {excepted: {"sparsity": 0.9}}}}
    _, _, model = compress(family, step)
    of_its_own = {name for name in model.linear_names() if matches(excepted, name)}
    share = {name: float(model.masks[name].double().mean()) for name in of_its_own}
    assert of_its_own and all(found == pytest.approx(0.9, abs=0.03) for found in share.values()), share
    others = torch.cat([model.masks[name].flatten() for name in model.linear_names() if name not in of_its_own])
    assert float(others.double().mean()) == pytest.approx(0.3, abs=0.02)  # Wanda rounds it in every row


@pytest.mark.parametrize(("bits", "group_size"), [(2, 0), (3, 16), (4, 32)])
@distinct_families
def test_quantizing_leaves_that_many_levels(compress, family, bits, group_size):
    _, _, model = compress(family, {"quantize_rtn": {"bits": bits, "group_size": group_size}})
    for name in model.linear_names():
        row = model.weight(name)[0]
        size = group_size or len(row)
        assert all(len(row[s : s + size].unique()) <= 2**bits for s in range(0, len(row), size))
        assert model.layout()[0].grid is None or model.layout()[0].grid == Affine(bits, group_size, True)
    assert model.kernel == "simulated"


@every_family
def test_a_shallower_student_is_made_of_its_teachers_layers(compress, family):
    _, baseline, model = compress(family, {"distill_logits": {"steps": 0, "student_layers": 2}})
    assert (baseline.depth, model.depth) == (3, 2)
    assert model.module.config.num_hidden_layers == 2
    second = [n for n in model.linear_names() if ".1." in n]
    assert second
    for name in second:
        assert torch.equal(model.weight(name), baseline.weight(name.replace(".1.", ".2.", 1)))


@pytest.mark.parametrize("later", SAME_SHAPES, ids=str)
@distinct_families
def test_earlier_zeros_stay_zeros(compress, family, later):
    first = {"prune_magnitude": {"sparsity": 0.5}}
    _, _, pruned = compress(family, first)
    _, _, model = compress(family, first, later)
    names = model.linear_names() if model.depth == pruned.depth else [n for n in model.linear_names() if ".0." in n]
    for name in names:
        assert bool((model.weight(name)[pruned.masks[name]] == 0).all())
        assert int(model.masks[name].sum()) >= round(0.5 * model.weight(name).numel()) - 1


@pytest.mark.parametrize("step", [step for step in SAME_SHAPES if not METHODS[next(iter(step))].renews], ids=str)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_zeros_that_lie_unevenly_stay_and_are_foreseen(session, tiny_recipe, family, step):
    recipe = tiny_recipe(family, step)
    check_earlier_zeros(recipe.steps[0], recipe, session)


def test_zeros_that_quantizing_made_are_not_taken_for_pruned_ones(compress):
    steps = (
        {"prune_magnitude": {"sparsity": 0.2}},
        {"quantize_rtn": {"bits": 2}},
        {"prune_magnitude": {"sparsity": 0.5}},
    )
    recipe, _, model = compress("llama", *steps)
    plan = make_plan(recipe, read_facts(recipe.model))
    assert {w.name: w.nonzero for w in plan.weights} == {w.name: w.nonzero for w in model.layout()}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("step", CASES, ids=str)
def test_the_same_seed_gives_the_same_weights(compress, family, step):
    _, _, first = compress(family, step, warm=Session(), seed=5)
    _, _, again = compress(family, step, warm=Session(), seed=5)
    assert first.weights_hash() == again.weights_hash()


@pytest.mark.parametrize("steps", [[step] for step in CASES] + COMBINED + [[]], ids=str)
@distinct_families
def test_saved_and_loaded_it_is_the_same_model(session, compress, family, steps, tmp_path):
    recipe, baseline, model = compress(family, *steps)
    save(model, tmp_path / "saved")
    again = load_packed(tmp_path / "saved", baseline.facts, session.choice(recipe))
    assert again.weights_hash() == model.weights_hash()
    assert torch.equal(logits(again), logits(model))
    assert file_bytes(model.layout()) == (tmp_path / "saved" / WEIGHTS).stat().st_size


@pytest.mark.parametrize("steps", [[step] for step in CASES] + COMBINED + [[]], ids=str)
@distinct_families
def test_the_estimate_is_the_size_of_the_file_to_the_byte(compress, family, steps, tmp_path):
    recipe, _, model = compress(family, *steps)
    save(model, tmp_path / "saved")
    foreseen = estimate(make_plan(recipe, read_facts(recipe.model)))
    written = (tmp_path / "saved" / WEIGHTS).stat().st_size
    if foreseen.exact:
        assert foreseen.compressed_bytes == written
    else:
        assert foreseen.compressed_bytes == pytest.approx(written, rel=0.1)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_whole_run_is_saved_with_what_it_says(session, tiny_recipe, family):
    recipe = tiny_recipe(family, *COMBINED[0], metrics=["footprint"])
    record = session.run(recipe, run_id="whole", stage="final", report=quiet, cancelled=lambda: False)
    folder = run_folder("whole")
    assert record.saved_to == str(folder)
    again = load_packed(folder, read_facts(recipe.model), session.choice(recipe))
    assert again.weights_hash() == record.compressed_hash != record.baseline_hash
    assert record.find("size_on_disk_bytes").value == (folder / WEIGHTS).stat().st_size
    assert {r.bits for r in record.weights if ".layers." in r.name or ".h." in r.name} == {4}
    assert all(prod(r.shape) for r in record.weights)
