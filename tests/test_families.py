"""Every claim that a family's file makes, held against what the modules of transformers really do."""

import copy

import pytest
import torch
from compresslab.engine.inputs.calibration import shared_inputs
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.models.anatomy import QKV
from compresslab.models.families import FAMILIES as KNOWN
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM
from transformers.activations import ACT2FN

from tests.tiny_models import CONFIGS, FAMILIES, OTHER_TASKS

BATCH = torch.arange(2 * 24).view(2, 24) % 300
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def baselines(tiny_folders):
    choice = Choice(torch.device("cpu"), torch.float32, "", "")
    return {family: load_baseline(str(folder), choice) for family, folder in tiny_folders.items()}


@pytest.fixture
def opened(baselines, family):
    """The facts, a module that may be changed, and `seen(name)`: what a module of block 0 reads and gives."""
    model = baselines[family]
    module = copy.deepcopy(model.module)

    def seen(name):
        values = []
        part = module.get_submodule(model.facts.anatomy.module(0, name))
        hook = part.register_forward_hook(lambda _, given, result: values.extend([given[0], result]))
        with torch.inference_mode():
            module(input_ids=BATCH, use_cache=False)
        hook.remove()
        return [value.reshape(BATCH.numel(), -1) for value in values]

    return model.facts, module, seen


def zero(module, name, rows):
    part = module.get_submodule(name)
    for parameter in (part.weight, part.bias):
        if parameter is not None:
            parameter.data[rows.start : rows.stop] = 0


def different_columns(one, other):
    return set((one != other).any(0).nonzero().flatten().tolist())


@pytest.mark.parametrize("name", KNOWN)
def test_a_family_is_one_that_transformers_has_under_a_title_of_its_own(name):
    assert (CONFIGS | OTHER_TASKS)[name]().model_type == name in CONFIG_MAPPING
    assert [family.model_type for family in KNOWN.values() if family.title == KNOWN[name].title] == [name]


@every_family
def test_forms_of_a_family_differ_in_anatomy(family):
    """Where they do not, one tiny model is enough."""
    config = CONFIGS[family]().to_dict()
    plain = KNOWN[config["model_type"]]
    assert (plain.anatomy_of(config) == plain.anatomy) == (family == plain.model_type)


@every_family
def test_the_matrices_of_a_block_are_all_named(opened, family):
    facts, module, _ = opened
    body = facts.anatomy
    names = {*body.attention.inputs, body.attention.output, *body.mlp.inputs, body.mlp.output}
    found = {w.name for w in facts.weights if w.role == "linear" and w.layer == 0}
    assert {body.weight(0, name) for name in names} == found
    assert {w.name for w in facts.weights} == set(dict(module.named_parameters()))
    embedding = module.get_input_embeddings().weight
    assert module.get_parameter(f"{body.embedding}.weight") is embedding
    assert (module.get_output_embeddings().weight is embedding) == facts.tied
    if body.final_norm:
        module.get_submodule(body.final_norm.name)


@every_family
def test_matrices_that_read_one_tensor_are_known_to_share_its_statistics(baselines, family):
    model = baselines[family]
    body, depth = model.facts.anatomy, range(model.depth)
    together = [body.attention.inputs, (body.attention.output,), body.mlp.inputs, (body.mlp.output,)]
    if body.shares_norm:
        together = [(*body.attention.inputs, *body.mlp.inputs), (body.attention.output,), (body.mlp.output,)]
    expected = {frozenset(body.weight(layer, name) for name in names) for layer in depth for names in together}
    assert {frozenset(group) for group in shared_inputs(model, model.linear_names(), BATCH)} == expected


@every_family
@pytest.mark.parametrize("part", QKV)
def test_the_rows_of_a_head_are_those_of_that_head_alone(opened, family, part):
    facts, module, seen = opened
    attention, heads = facts.anatomy.attention, facts.heads
    before, _ = seen(attention.output)
    name, rows = attention.rows(part, 1, heads)
    zero(module, facts.anatomy.module(0, name), rows)
    after, _ = seen(attention.output)
    readers = [1] if part == "q" else [h for h in range(heads.count) if h // heads.shared_by == 1]
    columns = {h * heads.dim + place for h in readers for place in range(heads.dim)}
    assert different_columns(before, after) == columns
    if part == "v":
        assert not after[:, sorted(columns)].any()


@every_family
@pytest.mark.parametrize("part", ["gate", "up"])
def test_the_rows_of_a_channel_are_those_of_that_channel_alone(opened, family, part):
    facts, module, seen = opened
    mlp = facts.anatomy.mlp
    before, _ = seen(mlp.output)
    name, rows = mlp.rows(part, facts.mlp_width)
    assert before.shape[1] == facts.mlp_width == len(rows)
    zero(module, facts.anatomy.module(0, name), rows[5:6])
    after, _ = seen(mlp.output)
    assert different_columns(before, after) == {5}
    assert not after[:, 5].any()


@every_family
def test_the_activation_is_the_one_that_is_named(opened, family):
    facts, _, seen = opened
    mlp, act = facts.anatomy.mlp, ACT2FN[facts.activation]
    _, up = seen(mlp.up)
    gate = seen(mlp.gate)[1] if mlp.gate else None
    if mlp.gate == mlp.up:
        gate, up = up.chunk(2, dim=1)
    expected = act(up) if gate is None else act(gate) * up
    assert torch.allclose(seen(mlp.output)[0], expected, atol=1e-6)


@every_family
@pytest.mark.parametrize("place", ["attention", "mlp"])
def test_a_norm_feeds_these_matrices_and_nothing_else(opened, family, place):
    """What the norm is scaled by can be taken back in its readers, and the model stays the same."""
    facts, module, _ = opened
    body = facts.anatomy
    norm = getattr(body, place).norm
    if norm is None:
        assert family == "opt narrow"
        return
    readers = {*body.attention.inputs, *body.mlp.inputs} if body.shares_norm else getattr(body, place).inputs
    with torch.inference_mode():
        before = module(input_ids=BATCH).logits
        scales = torch.linspace(0.5, 3.0, facts.hidden_size)
        scaled = module.get_submodule(body.module(0, norm.name))
        shift = 1 if norm.kind == "rms_plus_one" else 0
        scaled.weight.data = (scaled.weight + shift) * scales - shift
        if norm.kind == "layer":
            scaled.bias.data *= scales
        assert not torch.allclose(module(input_ids=BATCH).logits, before, atol=1e-3)
        for name in readers:
            module.get_submodule(body.module(0, name)).weight.data /= scales
        assert torch.allclose(module(input_ids=BATCH).logits, before, atol=1e-4)


@every_family
@pytest.mark.parametrize("place", ["attention", "mlp"])
def test_what_stands_after_the_output_reads_it(opened, family, place):
    facts, _, seen = opened
    part = getattr(facts.anatomy, place)
    assert (part.after is not None) == (family in ("gemma2", "gemma3_text"))
    if part.after is not None:
        assert torch.equal(seen(part.after.name)[0], seen(part.output)[1])


@every_family
def test_the_mlp_reads_what_attention_left_unless_they_are_parallel(opened, family):
    facts, module, seen = opened
    body = facts.anatomy
    before, _ = seen(body.mlp.up)
    module.get_parameter(body.weight(0, body.attention.output)).data *= 0.5
    assert torch.equal(seen(body.mlp.up)[0], before) == body.parallel


@every_family
def test_the_config_calls_its_sizes_so(opened, family):
    facts, module, _ = opened
    keys, config = facts.anatomy.keys, module.config.to_dict()
    assert config[keys.depth] == facts.layers
    assert config[keys.hidden] == facts.hidden_size
    assert config[keys.heads] == facts.heads.count
    assert keys.kv_heads is None or config[keys.kv_heads] == facts.heads.kv_count
    assert keys.mlp_width is None or config[keys.mlp_width] in (None, facts.mlp_width)
    assert facts.context_length == 64
    lists = {k for k, v in config.items() if isinstance(v, list) and len(v) == facts.layers}
    assert lists <= set(keys.per_layer)


def resized(family, facts, heads, width):
    """A model of plain transformers with so many heads of the same size, and so many channels."""
    keys = facts.anatomy.keys
    sizes = {keys.heads: heads, keys.kv_heads: heads, keys.head_dim: facts.heads.dim, keys.mlp_width: width}
    config = CONFIGS[family]().to_dict() | {key: size for key, size in sizes.items() if key}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


def takes(family, facts, heads, folder):
    """Whether plain transformers makes, saves, loads and runs a model with so many heads of the same size."""
    try:
        resized(family, facts, heads, facts.mlp_width).save_pretrained(folder)
        small = AutoModelForCausalLM.from_pretrained(folder)
        small(input_ids=BATCH)
    except (ValueError, RuntimeError, StrictDataclassClassValidationError):
        return False
    weight = small.get_parameter(facts.anatomy.weight(0, facts.anatomy.attention.output))
    return heads * facts.heads.dim in weight.shape


@every_family
def test_heads_can_be_as_many_as_the_table_says(opened, family, tmp_path):
    facts, *_ = opened
    possible = {"fixed": {4}, "divisors": {4, 2, 1}, "free": {4, 3, 2, 1}}[facts.anatomy.head_count]
    taken = {heads for heads in (4, 3, 2, 1) if takes(family, facts, heads, tmp_path / str(heads))}
    assert taken == possible


@every_family
def test_channels_can_be_as_many_as_one_likes_where_the_config_has_a_key(opened, family):
    facts, *_ = opened
    small = resized(family, facts, facts.heads.count, 20)
    weight = small.get_submodule(facts.anatomy.module(0, facts.anatomy.mlp.output)).weight
    assert (20 in weight.shape) == (facts.anatomy.keys.mlp_width is not None)
