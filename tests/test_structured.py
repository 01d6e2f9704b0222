"""Channels, heads and layers that go: what is kept, what is mended, and that plain transformers loads what is left."""

import pytest
import torch
from compresslab.engine.job import Job
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.models.packing import load_packed
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.layer_importance import block_influence, least_missed, loss_without
from compresslab.engine.steps.surgery import Site
from compresslab.engine.steps.unit_scores import first_order, worst_first
from compresslab.errors import BadInput, Cancelled
from compresslab.exports.transformers import Transformers
from compresslab.files.paths import run_folder
from compresslab.methods.prune_channels import PruneChannels
from compresslab.methods.prune_layers import PruneLayers
from compresslab.models.anatomy import Heads
from compresslab.models.facts import read_facts
from compresslab.models.narrowing import fewer_channels, fewer_heads, widths_now
from compresslab.planning.estimate import estimate
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.plan import make_plan
from transformers import AutoModelForCausalLM

from tests.tiny_models import FAMILIES

HALF_OF_EACH = {"prune_channels": {"mlp": 0.5, "heads": 0.5, "round_to": 4}}
CHANNELS = {"prune_channels": {"mlp": 0.3, "round_to": 8}}
LAYER = {"prune_layers": {"layers": 1}}
BATCH = torch.arange(2 * 24).view(2, 24) % 300


def quiet(event):
    """Nobody watches."""


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def compress(session, tiny_recipe):
    def run(family, *steps, **fields):
        recipe = tiny_recipe(family, *steps, **fields)
        job = Job(quiet, lambda: False, Tracker({}, quiet))
        model, _ = session.compress(recipe, job)
        return StepContext(job, session, recipe, session.baseline(recipe)), model

    return run


def steps_for(facts):
    """What can be pruned of a family."""
    step = dict(HALF_OF_EACH["prune_channels"])
    if facts.anatomy.head_count == "fixed":
        step["heads"] = 0.0
    if facts.anatomy.keys.mlp_width is None:
        step["mlp"] = 0.0
    return {"prune_channels": step}


# -- counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "sparsity", "multiple", "kept"),
    [
        (512, 0.0, 16, 512),
        (512, 0.3, 16, 352),
        (52, 0.3, 16, 32),
        (52, 0.3, 1, 36),
        (8, 0.3, 16, 6),
        (8, 0.95, 1, 1),
        (15, 0.1, 16, 15),
        (500, 0.01, 16, 496),
    ],
)
def test_channels_are_a_multiple_where_one_fits(width, sparsity, multiple, kept):
    assert fewer_channels(width, sparsity, multiple) == kept


@pytest.mark.parametrize(
    ("before", "sparsity", "after"),
    [
        (Heads(6, 3, 32), 0.3, Heads(4, 2, 32)),  # a whole group
        (Heads(14, 2, 64), 0.3, Heads(10, 2, 64)),  # query heads of each group
        (Heads(32, 8, 128), 0.3, Heads(24, 6, 128)),  # equally near: groups
        (Heads(8, 8, 16), 0.5, Heads(4, 4, 16)),
        (Heads(8, 1, 16), 0.5, Heads(4, 1, 16)),
        (Heads(4, 4, 16), 0.95, Heads(1, 1, 16)),
        (Heads(4, 2, 16), 0.1, Heads(4, 2, 16)),
    ],
)
def test_heads_go_so_that_the_ratio_stays_whole(tiny_folders, before, sparsity, after):
    assert fewer_heads(before, sparsity, read_facts(str(tiny_folders["qwen3"]))) == after


def test_heads_that_must_divide_the_hidden_size_do(tiny_folders):
    facts = read_facts(str(tiny_folders["llama"]))
    assert facts.anatomy.head_count == "divisors"
    assert facts.hidden_size % 3
    assert fewer_heads(Heads(4, 4, 8), 0.3, facts).count == 2
    assert fewer_heads(Heads(4, 4, 8), 0.25, facts).count == 4  # as near as 2, and less is lost


# -- what is left -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("which", ["channels", "layers", "both"])
def test_plain_transformers_loads_it_with_identical_logits(compress, tiny_folders, family, which, tmp_path):
    narrow = steps_for(read_facts(str(tiny_folders[family])))
    context, model = compress(family, *{"channels": [narrow], "layers": [LAYER], "both": [narrow, LAYER]}[which])
    assert model.memory_bytes < context.baseline.memory_bytes or family == "bloom"
    Transformers().write(model, tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=torch.float32)
    with torch.inference_mode():
        expected = plain(BATCH).logits[:, :-1].float().log_softmax(-1)
    found = log_probabilities(model, BATCH)
    if model.facts.anatomy.conv1d:  # transformers multiplies by the transposed matrix there: other sums, same weights
        assert torch.allclose(found, expected, atol=1e-5)
    else:
        assert torch.equal(found, expected)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in model.module.parameters())


def test_half_precision_checkpoints_come_back_to_the_bit_too(compress, tmp_path):
    _, model = compress("llama", CHANNELS)
    Transformers().write(model, tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert plain.dtype == torch.float16
    assert all(torch.equal(plain.get_parameter(name).float(), model.weight(name)) for name in model.stored)


def test_it_can_be_done_again_on_what_is_left(compress):
    _, model = compress("qwen3", {"prune_channels": {"mlp": 0.25, "heads": 0.5, "round_to": 1}}, CHANNELS, LAYER, LAYER)
    widths = widths_now(model.weights, model.facts)
    assert (widths.channels, widths.heads, model.depth) == (24, Heads(2, 1, 16), 1)
    assert model.module.config.intermediate_size == 24
    assert log_probabilities(model, BATCH).isfinite().all()


def test_a_final_run_is_saved_measured_and_writes_as_the_model_in_memory(session, tiny_recipe):
    """Whatever reads the saved run must take its shapes from the run, not from the baseline."""
    recipe = tiny_recipe("qwen3", LAYER, HALF_OF_EACH, {"distill_logits": {"steps": 2, "batch": 2}})
    record = session.run(recipe, run_id="narrow", stage="final", report=quiet, cancelled=lambda: False)
    foreseen = estimate(make_plan(recipe, read_facts(recipe.model)))
    assert foreseen.exact
    assert record.find("size_on_disk_bytes").value == foreseen.compressed_bytes
    assert record.find("weight_memory_bytes").value < 0.8 * record.find("weight_memory_bytes", "baseline").value
    assert record.find("decode_tokens_per_second").kernel == "real"
    assert any("kept 24 of 52 channels and 2 of 4 heads" in str(text) for text in record.notices)
    model, _ = session.compress(recipe, Job(quiet, lambda: False, Tracker({}, quiet)))
    saved = load_packed(run_folder("narrow"), read_facts(recipe.model), session.choice(recipe))
    assert saved.weights_hash() == model.weights_hash() == record.compressed_hash
    decoding = Decoding(max_new_tokens=12)
    assert session.generate_text(saved, "Mia had", decoding) == session.generate_text(model, "Mia had", decoding)


@pytest.mark.parametrize("statistics", ["baseline", "sequential"])
@pytest.mark.parametrize("importance", ["activation", "magnitude", "taylor", "reconstruction"])
@pytest.mark.parametrize("repair", [False, True])
def test_units_that_nobody_reads_go_first_and_are_not_missed(compress, tiny_recipe, importance, repair, statistics):
    """Half of the channels and one group of heads have zero columns; what is left answers the same."""
    calibration = tiny_recipe("qwen3").calibration.model_dump() | {"statistics": statistics}
    context, model = compress("qwen3", calibration=calibration)
    anatomy = model.facts.anatomy
    generator = torch.Generator().manual_seed(0)
    dead = []
    for layer in range(model.depth):
        down, out = anatomy.weight(layer, anatomy.mlp.output), anatomy.weight(layer, anatomy.attention.output)
        dead.append(torch.randperm(52, generator=generator)[:26])
        heads = model.weight(out).clone().view(32, 2, 32)
        heads[:, layer % 2] = 0
        model.settle({down: model.weight(down).index_fill(1, dead[-1], 0.0), out: heads.view(32, 64)})
    before = log_probabilities(model, BATCH)
    step = PruneChannels(mlp=0.5, heads=0.5, round_to=1, importance=importance, repair=repair)
    context.reference = model.copy()
    up = model.weight(anatomy.weight(1, anatomy.mlp.up)).clone()
    left = [channel for channel in range(52) if channel not in dead[1].tolist()]
    step.apply(model, context)
    assert torch.equal(model.weight(anatomy.weight(1, anatomy.mlp.up)), up[left])
    assert widths_now(model.weights, model.facts).heads == Heads(2, 1, 16)
    assert torch.allclose(log_probabilities(model, BATCH), before, atol=1e-4)


def inputs_of(model, name, sequences):
    """Everything that a matrix read: [tokens, d]."""
    seen = []
    module = model.module.get_submodule(name.removesuffix(".weight"))
    handle = module.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.inference_mode():
        model.module(input_ids=sequences)
    handle.remove()
    return torch.cat(seen)


@pytest.mark.parametrize("family", ["qwen3", "opt"])  # without and with a bias
def test_mending_is_least_squares_on_what_is_kept(compress, family):
    context, model = compress(family)
    anatomy, start = model.facts.anatomy, model.copy()
    name = anatomy.weight(0, anatomy.mlp.output)
    X = inputs_of(start, name, context.calibration()).double()
    PruneChannels(mlp=0.5, round_to=1, dampening=1e-4).apply(model, context)
    bias = f"{name.removesuffix('weight')}bias"
    wanted = X @ start.weight(name).double().T + (start.weight(bias).double() if bias in start.weights else 0)
    up = start.weight(anatomy.weight(0, anatomy.mlp.up))
    kept = [(up == row).all(1).nonzero().item() for row in model.weight(anatomy.weight(0, anatomy.mlp.up))]
    inputs = X[:, kept] if bias not in start.weights else torch.cat([X[:, kept], torch.ones(len(X), 1)], 1)
    best = torch.linalg.lstsq(inputs, wanted).solution
    ours = X[:, kept] @ model.weight(name).double().T + (model.weight(bias).double() if bias in start.weights else 0)
    least, found = ((inputs @ best - wanted) ** 2).mean(), ((ours - wanted) ** 2).mean()
    unmended = ((X[:, kept] @ start.weight(name)[:, kept].double().T - wanted) ** 2).mean()
    assert least <= found * (1 + 1e-6) and found <= 1.05 * least
    assert found < 0.9 * unmended


def test_activation_is_the_energy_of_a_units_contribution(compress):
    context, model = compress("qwen3")
    anatomy, start = model.facts.anatomy, model.copy()
    name = anatomy.weight(2, anatomy.mlp.output)
    X, W = inputs_of(start, name, context.calibration()), start.weight(name)
    energy = torch.stack([(X[:, [u]] @ W[:, [u]].T).square().sum(1).mean() for u in range(52)])
    PruneChannels(mlp=0.5, round_to=1, importance="activation", repair=False).apply(model, context)
    assert torch.equal(model.weight(name), W[:, energy.topk(26).indices.sort().values])


def test_first_order_importance_is_the_slope_of_the_loss(compress):
    context, model = compress("qwen3", calibration={"samples": 3, "sequence_length": 16, "text": "bundled"})
    anatomy, heads = model.facts.anatomy, model.facts.heads
    sites = [Site(anatomy.weight(1, anatomy.mlp.output), 1, True, 52, 1, 1, 20)]
    sites += [Site(anatomy.weight(1, anatomy.attention.output), 1, False, heads.count, heads.dim, 1, 2)]
    found = first_order(model, sites, context)
    for site in sites:
        total = torch.zeros(site.units)
        module = model.module.get_submodule(site.weight.removesuffix(".weight"))
        for sequence in context.calibration():
            gates = torch.ones(site.units, requires_grad=True)
            scaled = lambda _m, inputs: inputs[0] * gates.repeat_interleave(site.size)  # noqa: B023, E731
            handle = module.register_forward_pre_hook(scaled)
            output = model.module(input_ids=sequence[None], labels=sequence[None])
            handle.remove()
            (slope,) = torch.autograd.grad(output.loss * (len(sequence) - 1), gates)
            total += slope.abs()
        assert torch.allclose(found[site.weight], total, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("units", "size", "groups", "keep"), [(8, 1, 1, 3), (4, 3, 1, 2), (6, 2, 3, 1)])
def test_one_by_one_goes_what_the_others_make_good(units, size, groups, keep):
    """Against removals counted in the plainest way: solve for every candidate, take the cheapest, again."""
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(200, units * size, generator=generator, dtype=torch.float64)
    X = X @ torch.randn(units * size, units * size, generator=generator, dtype=torch.float64)
    W, H = torch.randn(5, units * size, generator=generator, dtype=torch.float64), X.T @ X / len(X)

    def loss(left):
        columns = [u * size + i for u in left for i in range(size)]
        mended = torch.linalg.solve(H[columns][:, columns], H[columns] @ W.T).T
        change = W @ X.T - mended @ X[:, columns].T
        return float(change.square().sum())

    left = list(range(units))
    each = units // groups
    while len(left) > groups * keep:
        open_ = [u for u in left if sum(v // each == u // each for v in left) > keep]
        left.remove(min(open_, key=lambda u: loss([v for v in left if v != u])))
    assert worst_first(W, H, Site("w", 0, True, units, size, groups, keep)).tolist() == left


def test_zeros_go_along_with_their_rows_and_columns(compress):
    _, pruned = compress("qwen3", {"prune_magnitude": {"sparsity": 0.5}})
    _, model = compress("qwen3", {"prune_magnitude": {"sparsity": 0.5}}, HALF_OF_EACH)
    anatomy = model.facts.anatomy
    for name in model.linear_names():
        assert model.masks[name].shape == model.weight(name).shape == model.weights[name].shape
        assert bool((model.weight(name)[model.masks[name]] == 0).all())
    up = anatomy.weight(0, anatomy.mlp.up)
    rows = pruned.masks[up].tolist()
    assert all(row in rows for row in model.masks[up].tolist())


def test_only_blocks_change_and_what_is_around_them_stays(compress):
    context, model = compress("phi", HALF_OF_EACH)
    outside = [name for name, weight in model.weights.items() if weight.layer is None or "layernorm" in name]
    assert outside
    assert all(torch.equal(model.weight(name), context.baseline.weight(name)) for name in outside)


# -- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "bloom", "gpt_neox"])
def test_a_block_that_does_nothing_goes_first(compress, family):
    context, model = compress(family)
    anatomy = model.facts.anatomy
    outputs = [anatomy.module(1, part) for part in (anatomy.attention.output, anatomy.mlp.output)]
    silent = [f"{name}.{kind}" for name in outputs for kind in ("weight", "bias") if f"{name}.{kind}" in model.weights]
    model.settle({name: torch.zeros_like(model.weight(name)) for name in silent})
    before = log_probabilities(model, BATCH)
    assert block_influence(model, context.calibration(), context.tell)[1] == pytest.approx(0, abs=1e-6)
    PruneLayers(layers=1, importance="block influence").apply(model, context)
    assert model.depth == 2
    assert "prune_layers removed layer 1 of 3, counted from 0." in map(str, context.job.remembered)
    assert torch.allclose(log_probabilities(model, BATCH), before, atol=1e-5)


def test_the_measured_loss_is_that_of_the_model_without_the_blocks(compress):
    context, model = compress("smollm3")
    sequences = context.calibration()[:8]
    found = loss_without(model, [1], sequences)
    model.keep_layers([0, 2])
    assert found == pytest.approx(loss_without(model, [], sequences), rel=1e-6)


def test_layers_go_one_after_the_other(compress):
    context, model = compress("llama")
    sequences = context.calibration()[:4]
    gone = least_missed(model, 2, 4, context)
    first = min(range(3), key=lambda layer: loss_without(model, [layer], sequences))
    assert gone[0] == first
    others = [layer for layer in range(3) if layer != first]
    assert gone[1] == min(others, key=lambda layer: loss_without(model, [first, layer], sequences))


def test_zeros_move_along_with_their_layer(compress):
    _, pruned = compress("llama", {"prune_magnitude": {"sparsity": 0.5}})
    _, model = compress("llama", {"prune_magnitude": {"sparsity": 0.5}}, LAYER)
    for name, mask in model.masks.items():
        place = model.weights[name].layer
        before = [pruned.masks[name.replace(f".{place}.", f".{old}.", 1)] for old in (place, place + 1)]
        assert any(torch.equal(mask, old) for old in before)


def test_nothing_is_left_on_the_model_by_looking_at_it(compress):
    context, model = compress("llama")
    least_missed(model, 1, 4, context)
    block_influence(model, context.calibration(), context.tell)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "step", "says"),
    [
        ("gpt2", {"prune_channels": {"heads": 0.5}}, "which ties their number"),
        ("opt", {"prune_channels": {"heads": 0.5}}, "set heads to 0"),
        ("bloom", {"prune_channels": {"mlp": 0.5}}, "[Uu]se prune_layers"),
        ("llama", {"prune_layers": {"layers": 3}}, "at most 2 can go"),
    ],
)
def test_what_a_family_can_not_take_is_refused_in_the_plan_and_at_work(compress, tiny_recipe, family, step, says):
    recipe = tiny_recipe(family, step)
    with pytest.raises(BadInput, match=f"Step 1: .*{says}"):
        make_plan(recipe, read_facts(recipe.model))
    context, model = compress(family)
    with pytest.raises(BadInput, match=says):
        recipe.steps[0].apply(model, context)


def test_a_quantized_model_is_not_torn_apart(compress, tiny_recipe):
    quantize = {"quantize_rtn": {"bits": 4}}
    recipe = tiny_recipe("llama", quantize, CHANNELS)
    with pytest.raises(BadInput, match="move it before"):
        make_plan(recipe, read_facts(recipe.model))
    context, model = compress("llama", quantize)
    with pytest.raises(BadInput, match="move it before"):
        PruneChannels().apply(model, context)


def test_layers_of_a_quantized_model_may_go(compress):
    _, model = compress("llama", {"quantize_rtn": {"bits": 4}}, LAYER)
    assert model.depth == 2
    assert model.kernel == "simulated"


def test_heads_that_can_not_be_halved_further_are_told(compress):
    context, model = compress("llama", {"prune_channels": {"mlp": 0.0, "heads": 0.1}})
    assert any("No attention head was removed" in str(text) for text in context.job.notices)
    assert model.weights_hash() == context.baseline.weights_hash()


def test_a_stop_is_seen(compress):
    for step in (PruneChannels(importance="taylor"), PruneChannels()):
        context, model = compress("llama")
        context.job.cancelled = lambda: True
        with pytest.raises(Cancelled):
            step.apply(model, context)
