"""Grids: what every one of them keeps to, and NormalFloat from its levels to the files that it is exported to."""

import pytest
import torch
from compresslab.engine.inputs.calibration import Sums
from compresslab.engine.models.device import Choice
from compresslab.engine.models.packing import load_packed, write_folder
from compresslab.engine.runtimes.onnx_graph import graph_of
from compresslab.engine.solvers.half_quadratic import half_quadratic
from compresslab.engine.solvers.optimal_brain import Target, relative_loss, solve
from compresslab.engine.solvers.refit import least_loss_scales
from compresslab.engine.solvers.rounding import Fitted, round_to_nearest
from compresslab.engine.steps.gptq import importance, order_of
from compresslab.errors import BadInput
from compresslab.exports.format import why_not
from compresslab.exports.registry import FORMATS
from compresslab.exports.verified import contents_of
from compresslab.grids.affine import Affine
from compresslab.grids.nf4 import Nf4
from compresslab.grids.registry import GRIDS, plain, read
from compresslab.grids.table import Table
from compresslab.methods.quantize_gptq import QuantizeGptq
from compresslab.models.packed_layout import PACKED, file_bytes
from compresslab.profiles.probes import probes
from compresslab.recipes.plan import make_plan
from safetensors.torch import load_file

from tests.exported import compressed, exported  # noqa: F401 - fixtures

PUBLISHED = [  # bitsandbytes, csrc; also in QLoRA, appendix E
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]
ON_CPU = Choice(torch.device("cpu"), torch.float32, "", "")
EVERY_GRID = [kind.of(bits, size, True) for kind in GRIDS.values() for bits in kind.widths for size in (0, 32)]
STEPS = {
    "rtn": {"quantize_rtn": {"grid": "nf4", "group_size": 16, "embedding_bits": 8}},
    "hqq": {"quantize_hqq": {"grid": "nf4", "group_size": 32}},
    "gptq": {"quantize_gptq": {"grid": "nf4", "group_size": 16}},
    "awq": {"quantize_awq": {"grid": "nf4", "rounding": "gptq"}},
}


def never(*_):
    """Nobody stops it."""


@pytest.fixture
def weight():
    """72 columns: the last group of 32 is a short one."""
    return torch.randn(24, 72, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def statistics():
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(600, 72, generator=generator) @ (torch.randn(72, 72, generator=generator) / 8)
    sums = Sums(hessian=True)
    sums.add(inputs)
    return sums.statistics(("w",), len(inputs))


# -- every grid ----------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_what_lies_on_a_grid_stays_where_it_is(weight, grid):
    stored = round_to_nearest(weight, grid)
    fitted = Fitted(grid, stored.parameters)
    assert torch.equal(fitted.round(stored.dequantize()).codes, stored.codes)
    assert torch.equal(fitted.at(grid.points(stored.codes, stored.parameters)).codes, stored.codes)


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_every_weight_goes_to_the_nearest_value(weight, grid):
    stored = round_to_nearest(weight, grid)
    rows = len(weight)
    near = (weight - stored.dequantize()).abs()
    for code in range(len(grid.levels) if isinstance(grid, Table) else 2**grid.bits):
        value = grid.value(torch.full(weight.shape, code, dtype=torch.uint8), stored.parameters)
        assert bool((near <= (weight - value).abs() * (1 + 1e-5) + 1e-6).all()), (rows, code)


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_zero_is_on_it_and_parts_are_what_is_stored(weight, grid):
    mask = weight > 0.5
    stored = round_to_nearest(weight, grid).with_zeros(mask)
    assert bool((stored.dequantize()[mask] == 0).all())
    codes, *parameters = grid.parts(*weight.shape)
    assert stored.codes.shape == codes.shape and int(stored.codes.max()) < 2**codes.bits
    assert {part.name: part.shape for part in parameters} == {
        name: tuple(each.shape) for name, each in stored.parameters.items()
    }


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_a_channel_in_a_solver_goes_where_rounding_puts_it(weight, grid):
    """With no input that channels share, nothing is passed on: the solve is round-to-nearest."""
    fitted = Fitted(grid, grid.fit(weight))
    solved = solve([weight], torch.eye(72), Target(fitted), never)
    assert torch.equal(solved.quantized.codes, fitted.round(weight).codes)
    assert torch.equal(solved.weight, solved.quantized.dequantize())


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_a_file_says_which_grid_it_is(grid):
    assert read(plain(grid)) == grid


def test_a_file_with_a_grid_that_is_not_known_says_so():
    with pytest.raises(BadInput, match="grid unheard"):
        read({"name": "unheard", "group_size": 64})


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_gradients_go_straight_through(weight, grid):
    stored = round_to_nearest(weight, grid)
    inside = (stored.dequantize() * 0.9).requires_grad_()
    scales = grid.spread(stored.scales, 72)
    found = grid.straight_through(inside / scales, stored.parameters) * scales
    found.sum().backward()
    expected = Fitted(grid, stored.parameters).round(inside.detach()).dequantize()
    assert torch.allclose(found.detach(), expected, atol=1e-6)
    assert torch.allclose(inside.grad, torch.ones_like(weight))


# -- NormalFloat ---------------------------------------------------------------------------------


def test_levels_are_the_published_ones():
    assert Nf4.levels == pytest.approx(PUBLISHED, abs=3e-7)


def test_the_largest_magnitude_of_a_group_is_the_outermost_level():
    weight = torch.tensor([[0.5, -2.0, 0.1, 0.0, 4.0, 1.0, -1.0, 0.25]])
    stored = round_to_nearest(weight, Nf4(4))
    assert stored.scales.tolist() == [[2.0, 4.0]]
    assert stored.codes.tolist() == [[9 + 1, 0, 8, 7, 15, 10, 4, 8]]


def test_normal_weights_lie_closer_than_on_even_levels():
    weight = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))
    errors = [
        float((round_to_nearest(weight, grid).dequantize() - weight).square().mean())
        for grid in (Nf4(64), Affine(4, 64, True))
    ]
    assert errors[0] < 0.95 * errors[1]


@pytest.mark.parametrize("size", [0, 32])
def test_searched_and_half_quadratic_scales_have_less_error(weight, statistics, size):
    grid, counted = Nf4(size), importance(statistics)

    def error(stored):
        return float(((stored.dequantize() - weight).square() * counted).sum())

    plain_error = error(round_to_nearest(weight, grid))
    assert error(Fitted(grid, grid.search(weight, counted)).round(weight)) < plain_error
    squared = [
        float((stored.dequantize() - weight).square().sum())
        for stored in (half_quadratic(weight, grid), round_to_nearest(weight, grid))
    ]
    assert squared[0] < squared[1]


@pytest.mark.parametrize("active_first", [False, True])
def test_gptq_loses_less_than_rounding(weight, statistics, active_first):
    grid, order = Nf4(32), order_of(statistics, active_first=active_first)
    fitted = Fitted(grid, grid.search(weight, importance(statistics)))
    solved = solve([weight], statistics.factor(0.01, order), Target(fitted), never, order=order)
    losses = [
        relative_loss(weight, changed, statistics.hessian)
        for changed in (solved.weight, round_to_nearest(weight, grid).dequantize())
    ]
    assert losses[0] < 0.7 * losses[1]
    refitted = solved.quantized.rescaled(least_loss_scales(weight, solved.quantized, statistics.hessian, 0.0))
    assert relative_loss(weight, refitted.dequantize(), statistics.hessian) <= losses[0]


@pytest.mark.parametrize("name", STEPS)
def test_files_are_as_large_as_estimated_and_give_the_weights_back(compressed, tmp_path, name):  # noqa: F811
    model = compressed("llama", {"prune_magnitude": {"sparsity": 0.5}}, STEPS[name])
    write_folder(model, tmp_path)
    assert (tmp_path / PACKED).stat().st_size == file_bytes(model.layout())
    loaded = load_packed(tmp_path, model.facts, ON_CPU)
    assert {weight.grid.name for weight in loaded.layout() if weight.role == "linear"} == {"nf4"}
    assert loaded.weights_hash() == model.weights_hash()
    for weight, mask in model.masks.items():
        assert bool((loaded.weight(weight)[mask] == 0).all())


@pytest.mark.parametrize("name", STEPS)
def test_the_plan_is_what_happens(compressed, tiny_recipe, name):  # noqa: F811
    model = compressed("llama", STEPS[name])
    planned = make_plan(tiny_recipe("llama", STEPS[name]), model.facts).weights
    assert {w.name: w.grid for w in planned} == {w.name: w.grid for w in model.layout()}


def test_a_checkpoint_holds_the_values_and_says_that_they_are_dense(compressed, exported):  # noqa: F811
    form = FORMATS["transformers"](dtype="float32")
    done = exported(form, "llama", STEPS["gptq"])
    model = done.model
    assert done.difference() < 1e-5
    tensors = load_file(done.folder / "model.safetensors")
    for name in model.linear_names():
        assert torch.equal(tensors[name], model.stored[name].dequantize())
    said = form.dequantizes(contents_of(model))
    assert str(said).startswith(f"{len(model.linear_names())} matrices on the grid nf4")
    assert form.dequantizes(contents_of(compressed("llama", {"quantize_rtn": {}}))) is None


@pytest.mark.parametrize("name", ["gptq", "compressed-tensors"])
def test_formats_of_affine_codes_refuse_it_and_take_what_is_mixed(compressed, exported, name):  # noqa: F811
    form = FORMATS[name]()
    assert "on the grid nf4" in str(why_not(form, contents_of(compressed("llama", STEPS["gptq"]))))
    mixed = {"quantize_rtn": {"group_size": 16, "overrides": {"*.mlp.*": {"grid": "nf4"}}}}
    done = exported(form, "llama", mixed)
    contents = contents_of(done.model)
    assert "nf4" in str(form.dequantizes(contents))
    assert done.unexplained() < form.tolerance(contents)


def test_gguf_rounds_it_again_and_says_so(compressed):  # noqa: F811
    contents = contents_of(compressed("llama", STEPS["hqq"]))
    assert "rounded once more" in str(FORMATS["gguf"]().rounds_again(contents))


def test_the_low_bit_runtime_multiplies_its_values_and_says_so(compressed):  # noqa: F811
    model = compressed("llama", STEPS["hqq"])
    graph = graph_of(model, accuracy_level=1)
    assert not graph.real and "nf4 codes have no kernel" in str(graph.reason)
    assert "MatMulNBits" not in str(graph.kernel)
    form = FORMATS["onnx"](activations="float32")
    assert "nf4" in str(form.dequantizes(contents_of(model)))


def test_the_onnx_graph_answers_as_the_model_does(exported):  # noqa: F811
    done = exported(FORMATS["onnx"](activations="float32"), "llama", STEPS["rtn"])
    assert done.difference() < 1e-4
    assert abs(done.weight_bytes - done.estimate) < 0.1 * done.estimate


def test_bits_that_a_grid_does_not_have_are_refused():
    with pytest.raises(BadInput, match="quantize_gptq: the grid nf4 takes 4 bits, not 3"):
        QuantizeGptq.parse({"grid": "nf4", "bits": 3}, "quantize_gptq")
    with pytest.raises(BadInput, match="one of affine, nf4"):
        QuantizeGptq.parse({"grid": "nf5"}, "quantize_gptq")


def test_forms_and_sensitivity_follow_the_list_of_grids():
    (control,) = [control for control in QuantizeGptq.controls() if control.name == "grid"]
    assert control.choices == tuple(GRIDS) and all(grid.summary in control.help for grid in GRIDS.values())
    assert {step.grid for step in probes([QuantizeGptq]).columns} == set(GRIDS)
