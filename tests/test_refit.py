"""Scales fitted to the codes of a solve, and a solve that aims at what its input gave before it drifted."""

import pytest
import torch
from compresslab.engine.inputs.block_walk import sequential_statistics
from compresslab.engine.inputs.calibration import InputStatistics, Sums
from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers import refit
from compresslab.engine.solvers.least_squares import refine
from compresslab.engine.solvers.optimal_brain import Target, solve
from compresslab.engine.solvers.refit import least_loss_scales, solve_and_refit
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight
from compresslab.engine.steps.gptq import importance, order_of
from compresslab.grids.affine import Affine

ROWS, COLUMNS, TOKENS = 12, 150, 2000
GRIDS = [Affine(2, 0, True), Affine(2, 64, False), Affine(3, 32, True)]


def never(*_):
    """Nobody stops it, nobody watches."""


@pytest.fixture
def case():
    """A weight, and an input whose channels lean on each other and differ in strength: [TOKENS, COLUMNS]."""
    generator = torch.Generator().manual_seed(5)
    mixing = torch.randn(COLUMNS, COLUMNS, generator=generator) / COLUMNS**0.5
    strength = torch.rand(COLUMNS, generator=generator) + 0.1
    inputs = (torch.randn(TOKENS, COLUMNS, generator=generator) @ mixing) * strength
    return torch.randn(ROWS, COLUMNS, generator=generator), inputs


def statistics_of(inputs, meant=None):
    sums = Sums(hessian=True)
    sums.add(inputs, meant)
    return sums.statistics(("w",), len(inputs))


def damped(statistics, dampening=0.01):
    H = statistics.hessian.double().clone()
    H.diagonal().add_(dampening * H.diagonal().mean())
    return H


def row_loss(weight, changed, H):
    lost = (weight - changed).double()
    return ((lost @ H) * lost).sum(1)


@pytest.mark.parametrize("grid", [None, *GRIDS])
@pytest.mark.parametrize("active_first", [False, True])
def test_a_solve_knows_its_own_loss(case, grid, active_first):
    weight, inputs = case
    statistics = statistics_of(inputs)
    order = order_of(statistics, active_first=active_first)
    target = Target(sparsity=0.5) if grid is None else Target(Fitted(grid, grid.fit(weight)))
    solved = solve([weight], statistics.factor(0.01, order), target, never, order=order)
    assert torch.allclose(solved.loss.double(), row_loss(weight, solved.weight, damped(statistics)), rtol=1e-3)


@pytest.mark.parametrize("grid", GRIDS)
def test_scales_are_those_of_least_squares(case, grid):
    """Against a plain least-squares problem over the rows of the input, for codes that are given."""
    weight, inputs = case
    fitted = Fitted(grid, grid.search(weight, importance(statistics_of(inputs))))
    stored = solve([weight], statistics_of(inputs).factor(0.01), Target(fitted), never).quantized
    found = least_loss_scales(weight, stored, statistics_of(inputs).hessian, 0.0)
    zero_codes = grid.zero_codes(fitted.parameters)
    size = grid.group_size or COLUMNS
    for row in range(ROWS):
        zeros = zero_codes[row].double().repeat_interleave(size)[:COLUMNS]
        offsets = stored.codes[row].double() - zeros
        parts = [inputs.double()[:, i : i + size] @ offsets[i : i + size] for i in range(0, COLUMNS, size)]
        expected = torch.linalg.lstsq(torch.stack(parts, 1), (inputs.double() @ weight[row].double())[:, None])
        assert torch.allclose(found[row].double(), expected.solution[:, 0], rtol=5e-3)


@pytest.mark.parametrize("grid", GRIDS)
def test_refitting_never_costs_a_row_and_pays_on_the_whole(case, grid):
    weight, inputs = case
    statistics = statistics_of(inputs)
    order = order_of(statistics, active_first=True)
    factor, fitted = statistics.factor(0.01, order), Fitted(grid, grid.search(weight, importance(statistics)))
    parts = [weight[:5], weight[5:]]
    plain = solve(parts, factor, Target(fitted), never, order=order)
    solved = solve_and_refit(parts, factor, fitted, statistics.hessian, 0.01, never, order=order)
    assert torch.equal(solved.quantized.dequantize(), solved.weight)
    before = row_loss(weight, plain.weight, damped(statistics))
    after = row_loss(weight, solved.weight, damped(statistics))
    assert bool((after <= before * 1.001).all())
    assert float(after.sum()) < 0.97 * float(before.sum())


def test_rows_are_solved_in_blocks_that_stay_below_a_bound(case, monkeypatch):
    """The normal equations of all rows of a large matrix would take gigabytes; they are the same in blocks."""
    weight, inputs = case
    grid, statistics = GRIDS[2], statistics_of(inputs)
    stored = solve([weight], statistics.factor(0.01), Target(Fitted(grid, grid.fit(weight))), never).quantized
    at_once = least_loss_scales(weight, stored, statistics.hessian, 0.1)
    shapes, solution = [], refit._solution
    monkeypatch.setattr(refit, "_solution", lambda *equations: shapes.append(len(equations[0])) or solution(*equations))
    groups = grid.groups(COLUMNS)
    monkeypatch.setattr(refit, "NORMAL_BYTES", 5 * groups * groups * 4)
    assert torch.allclose(least_loss_scales(weight, stored, statistics.hessian, 0.1), at_once, rtol=1e-5)
    assert shapes == [5, 5, 2]


def test_a_group_without_codes_keeps_its_scale(case):
    _, inputs = case
    grid, weight = Affine(2, 50, True), torch.zeros(ROWS, COLUMNS)
    weight[:, :50] = 1.0
    codes = torch.full((ROWS, COLUMNS), 2, dtype=torch.uint8)  # zero on this grid
    stored = QuantizedWeight(codes, grid.fit(weight), grid)
    found = least_loss_scales(weight, stored, statistics_of(inputs).hessian, 0.0)
    assert torch.equal(found, stored.scales)


def test_earlier_zeros_stay_zero(case):
    weight, inputs = case
    earlier = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(1)) < 0.4
    statistics, fitted = statistics_of(inputs), Fitted(GRIDS[1], GRIDS[1].fit(weight))
    factor = statistics.factor(0.01)
    solved = solve_and_refit([weight], factor, fitted, statistics.hessian, 0.01, never, earlier=earlier)
    assert bool((solved.weight[earlier] == 0).all()) and torch.equal(solved.mask, earlier)


# -- an input that has drifted -----------------------------------------------------------------


@pytest.fixture
def drifted(case):
    weight, inputs = case
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(9))
    return weight, inputs, 0.8 * inputs + 0.1 * noise * inputs.std(0)


@pytest.mark.parametrize("active_first", [False, True])
def test_the_aim_gives_what_the_input_gave_before(drifted, active_first):
    weight, meant, inputs = drifted
    statistics = statistics_of(inputs, meant)
    found = statistics.aim(weight, 0.01, order_of(statistics, active_first=active_first)).double()
    X, meant_ = inputs.double(), meant.double()
    moved = (meant_ - X).T @ X / TOKENS @ torch.linalg.inv(damped(statistics))
    assert torch.allclose(found, weight.double() + weight.double() @ moved, atol=1e-3)
    gaps = [float((weight.double() @ meant_.T - W @ X.T).square().sum()) for W in (found, weight.double())]
    assert gaps[0] < 0.5 * gaps[1]


def test_an_input_that_has_not_drifted_changes_no_aim(case):
    weight, inputs = case
    assert statistics_of(inputs).aim(weight, 0.01) is weight
    assert torch.equal(statistics_of(inputs, inputs).aim(weight, 0.01), weight)


def test_mending_aims_there_too(drifted):
    weight, meant, inputs = drifted
    mask = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(1)) < 0.5
    start, gaps = weight.masked_fill(mask, 0), []
    for statistics in (statistics_of(inputs), statistics_of(inputs, meant)):
        mended = refine(
            start, weight, mask, statistics.hessian, drift=statistics.drift, dampening=0.01, steps=30, check=never
        )
        gaps.append(float((weight @ meant.T - mended @ inputs.T).square().sum()))
        assert bool((mended[mask] == 0).all())
    assert gaps[1] < 0.9 * gaps[0]


@pytest.fixture
def read(tiny_recipe):
    """The tiny llama, its calibration sequences, and what a matrix of it reads of them: float64 [tokens, d]."""
    recipe, job = tiny_recipe("llama"), Job(never, lambda: False, Tracker({}, never))
    session = Session()
    model = session.baseline(recipe).copy()
    sequences = session.calibration(recipe, model, job)

    def rows(of, name):
        kept = []
        module = of.module.get_submodule(name.removesuffix(".weight"))
        handle = module.register_forward_pre_hook(lambda _m, inputs: kept.append(inputs[0].flatten(0, 1).double()))
        with torch.no_grad():
            of.module(input_ids=sequences, use_cache=False)
        handle.remove()
        return torch.cat(kept)

    return model, sequences, rows


def test_sequential_statistics_know_how_far_an_input_has_drifted(read):
    model, sequences, rows = read
    untouched, drifts = model.copy(), []
    for group, statistics in sequential_statistics(model, model.linear_names(), sequences, never, drift=True):
        now, before = rows(model, group[0]), rows(untouched, group[0])
        expected = (before - now).T @ now / len(now)
        assert torch.allclose(statistics.drift.double(), expected, atol=1e-4 * float(now.abs().max()) ** 2)
        drifts.append(float(expected.abs().max()))
        for name in group:
            model.settle({name: 0.7 * model.weight(name)})
    assert drifts[0] == 0 and drifts[-1] > 0


def test_nothing_is_walked_beside_where_no_drift_is_asked_for(read):
    model, sequences, _ = read
    found = sequential_statistics(model, model.linear_names(), sequences, never)
    assert all(isinstance(statistics, InputStatistics) and statistics.drift is None for _, statistics in found)


@pytest.mark.parametrize(
    "step",
    [
        {"quantize_gptq": {"bits": 2, "group_size": 0}},
        {"quantize_awq": {"bits": 3, "group_size": 0}},
        {"prune_sparsegpt": {"sparsity": 0.6}},
        {"prune_wanda": {"sparsity": 0.6, "mend": 5}},
    ],
)
def test_layers_make_up_for_what_was_lost_before_them(tiny_recipe, read, monkeypatch, step):
    """What the last matrix gives on the calibration text stays nearer to what it gave before."""
    model, _, rows = read
    job, last = Job(never, lambda: False, Tracker({}, never)), model.linear_names()[-1]
    plain = tiny_recipe("llama", step)
    recipe = plain.replace(calibration=plain.calibration.model_copy(update={"statistics": "sequential"}))
    meant, gaps = rows(model, last) @ model.weight(last).double().T, []
    for aims in (True, False):
        if not aims:
            monkeypatch.setattr(Sums, "add", lambda self, inputs, meant=None, add=Sums.add: add(self, inputs))
        compressed, _ = Session().compress(recipe, job)
        gaps.append(float((rows(compressed, last) @ compressed.weight(last).double().T - meant).square().sum()))
    assert gaps[0] < gaps[1]
