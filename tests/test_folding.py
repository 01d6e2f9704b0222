"""Scales that are moved from a matrix to what comes before it leave the model's function as it is."""

from dataclasses import replace

import pytest
import torch
from compresslab.engine.job import Job
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.models.activations import rounded
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.engine.steps.folding import folds
from compresslab.engine.steps.groups import SolvedGroup
from compresslab.grids.affine import Affine
from safetensors.torch import load_file, save_file

from tests.tiny_models import DTYPES, FAMILIES, write_checkpoint

BATCH = torch.arange(2 * 24).view(2, 24) % 300


def quiet(event):
    """Nobody watches."""


def job():
    return Job(quiet, lambda: False, Tracker({}, quiet))


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def baseline(session, tiny_recipe, tmp_path, monkeypatch):
    """`baseline(family)`: a tiny model whose weights are float32 whatever the family's usual type is."""

    def load(family):
        monkeypatch.setitem(DTYPES, family, torch.float32)
        folder = write_checkpoint(tmp_path / family, family)
        return session.baseline(tiny_recipe("llama").model_copy(update={"model": str(folder)}))

    return load


def some_scales(fold, model):
    d = model.weights[fold.readers[0]].shape[1]
    generator = torch.Generator().manual_seed(d)
    return fold.allowed(torch.rand(d, generator=generator) * 3 + 0.2)


def divide(fold, model, scales):
    """Put what makes the channels, divided, into the model; returns the scales that took effect."""
    divided = fold.divided(model, scales)
    SolvedGroup(others=divided.changed).put_into(model, ())
    return divided.scales


def fold_all(model):
    for fold in folds(model):
        taken = divide(fold, model, some_scales(fold, model))
        model.settle({name: model.weight(name) * taken for name in fold.readers})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folded_model_answers_as_before(baseline, family):
    before = baseline(family)
    model = before.copy()
    fold_all(model)
    changed = [name for name in model.stored if not torch.equal(model.weight(name), before.weight(name))]
    assert any(".1." in name for name in changed)
    assert torch.allclose(log_probabilities(model, BATCH), log_probabilities(before, BATCH), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt_neox", "opt"])
def test_rows_that_are_on_a_grid_keep_their_codes(baseline, family):
    model = baseline(family).copy()
    for fold in folds(model):
        if fold.norm is None:
            before = round_to_nearest(model.weight(fold.writer), Affine(4, 16, False))
            model.quantize(fold.writer, before)
            scales = some_scales(fold, model)
            taken = divide(fold, model, scales)
            assert torch.allclose(taken, scales)
            stored = model.stored[fold.writer]
            assert torch.equal(stored.codes, before.codes)
            assert torch.equal(stored.parameters["zeros"], before.parameters["zeros"])
            rows = list(fold.rows)
            others = [row for row in range(len(before.codes)) if row not in set(rows)]
            assert torch.equal(stored.scales[others], before.scales[others])
            assert not torch.equal(stored.scales[rows], before.scales[rows])


def test_readers_are_multiplied_by_what_a_coarse_norm_was_divided_by(baseline):
    model = baseline("qwen2").copy()
    fold = next(fold for fold in folds(model) if fold.norm is not None)
    model.weights[fold.writer] = replace(model.weights[fold.writer], dtype="BF16")
    model.settle({fold.writer: model.weight(fold.writer)})
    before = model.weight(fold.writer)
    scales = some_scales(fold, model)
    taken = divide(fold, model, scales)
    assert not torch.equal(taken, scales)
    assert torch.allclose(taken, scales, rtol=2**-8)
    assert torch.allclose(model.weight(fold.writer) * taken, before, rtol=1e-6)


def test_query_heads_that_share_values_get_one_scale(baseline):
    model = baseline("llama")
    fold = next(fold for fold in folds(model) if fold.heads_sharing > 1)
    wanted = torch.arange(1.0, 33.0)
    found = fold.allowed(wanted).view(2, 2, 8)  # key/value heads, query heads of each, channels
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.allclose(found[0, 0, 0], (wanted[0] * wanted[8]).sqrt())


@pytest.mark.parametrize(("family", "kinds"), [("opt narrow", "qkv"), ("gpt2", "mlp.c_proj"), ("llama", None)])
def test_what_can_take_no_scales_is_in_the_record(session, tiny_recipe, family, kinds):
    told = job()
    session.compress(tiny_recipe(family, {"quantize_awq": {"bits": 4}}), told)
    said = [str(text) for text in told.remembered if "No scales" in str(text)]
    if kinds is None:
        assert not said
    elif kinds == "qkv":
        assert "self_attn.q_proj" in said[0] and "fc1" in said[0] and "fc2" not in said[0]
    else:
        assert f"for {kinds}:" in said[0]


def test_what_is_left_alone_stays_to_the_bit(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"quantize_awq": {"bits": 3, "ignore": ["v_proj", "layers.1.*"]}})
    model, _ = session.compress(recipe, job())
    before = session.baseline(recipe)
    alone = [name for name in model.stored if "v_proj" in name or ".layers.1." in name]
    assert alone
    assert all(torch.equal(model.weight(name), before.weight(name)) for name in alone)


def outlying(tmp_path):
    """A Llama in which a few channels of every norm are far stronger than the others."""
    folder = write_checkpoint(tmp_path / "outlying", "mistral")
    tensors = load_file(folder / "model.safetensors")
    for name, value in tensors.items():
        if name.endswith("layernorm.weight"):
            value[::11] *= 30
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def divergence(session, recipe):
    """Mean KL(baseline || compressed) of a token."""
    model, _ = session.compress(recipe, job())
    expected, found = (log_probabilities(each, BATCH) for each in (session.baseline(recipe), model))
    return float((expected.exp() * (expected - found)).sum(-1).mean())


def test_awq_loses_less_where_channels_differ(session, tiny_recipe, tmp_path):
    model = outlying(tmp_path)
    plain = {"bits": 4, "group_size": 16}
    steps = {"quantize_awq": plain | {"search": False, "keep_strength": False}}, {"quantize_rtn": plain}
    recipes = [tiny_recipe("mistral", step).model_copy(update={"model": model}) for step in steps]
    awq, rtn = (divergence(session, recipe) for recipe in recipes)
    assert awq < 0.8 * rtn


def test_smoothing_loses_less_where_channels_differ(session, tiny_recipe, tmp_path, monkeypatch):
    model = outlying(tmp_path)
    recipe = tiny_recipe("mistral", {"quantize_smooth": {}}).model_copy(update={"model": model})
    smooth = divergence(session, recipe)
    monkeypatch.setattr("compresslab.engine.steps.folding.Folds.of_group", lambda self, names: None)
    assert smooth < 0.5 * divergence(Session(), recipe)


def test_a_token_is_rounded_on_a_grid_of_its_own():
    inputs = torch.tensor([[1.0, -0.5, 0.004], [100.0, 0.3, -50.0], [0.0, 0.0, 0.0]], requires_grad=True)
    found = rounded(inputs, 8)
    steps = inputs.detach().abs().amax(-1, keepdim=True) / 127
    assert torch.equal(found[2], torch.zeros(3))
    assert torch.allclose((found / steps.clamp(min=1e-30)).round() * steps, found, atol=1e-6)
    assert bool(((found - inputs).abs() <= steps / 2 + 1e-6).all())
    found.sum().backward()
    assert torch.equal(inputs.grad, torch.ones_like(inputs))


def test_rounded_inputs_are_part_of_what_a_model_is(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"prune_layers": {"layers": 1}}, {"quantize_smooth": {"activation_bits": 4}})
    model, _ = session.compress(recipe, job())
    assert {report.activation_bits for report in model.reports() if ".layers." in report.name} == {4}
    plain = model.copy()
    plain.weights = {name: replace(weight, activation_bits=None) for name, weight in plain.weights.items()}
    plain._rebuild({})
    assert plain.weights_hash() != model.weights_hash()
    assert not torch.equal(log_probabilities(plain, BATCH), log_probabilities(model, BATCH))
    shallower = model.copy()
    shallower.keep_layers([1])
    again = plain.copy()
    again.keep_layers([1])
    assert not torch.equal(log_probabilities(shallower, BATCH), log_probabilities(again, BATCH))
