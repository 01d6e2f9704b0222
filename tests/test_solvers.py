"""The solvers against their published definitions, written once more in the plainest way."""

import numpy as np
import pytest
import torch
from compresslab.contract import late_zeros
from compresslab.engine.inputs.calibration import InputStatistics, Unfactorable
from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.least_squares import refine
from compresslab.engine.solvers.masks import lowest_in_groups
from compresslab.engine.solvers.optimal_brain import Target, relative_loss, solve
from compresslab.engine.solvers.rounding import Fitted, round_to_nearest
from compresslab.engine.steps.pruning import _levelled
from compresslab.errors import BadInput, Cancelled
from compresslab.grids.affine import Affine
from compresslab.methods.prune_sparsegpt import PruneSparsegpt
from compresslab.recipes.recipe import Recipe

ROWS, COLUMNS = 12, 150  # more than one block, and no multiple of one


def never():
    """Nobody stops it."""


@pytest.fixture
def case():
    """A weight, and statistics of an input whose channels lean on each other and differ in strength."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn(COLUMNS, COLUMNS, generator=generator) / COLUMNS**0.5
    strength = torch.rand(COLUMNS, generator=generator) + 0.1
    inputs = (torch.randn(2000, COLUMNS, generator=generator) @ mixing) * strength
    weight = torch.randn(ROWS, COLUMNS, generator=generator)
    statistics = InputStatistics(len(inputs), inputs.mean(0), inputs.abs().amax(0), inputs.T @ inputs / len(inputs))
    return weight, statistics


def damped(statistics, dampening=0.01):
    H = statistics.hessian.double().clone()
    H.diagonal().add_(dampening * H.diagonal().mean())
    return H


def plain_optimal_brain(weight, H, fixed):
    """Fix column after column; the inverse Hessian of the columns still free is made anew each time."""
    W = weight.double().clone()
    for q in range(W.shape[1]):
        free = torch.linalg.inv(H[q:, q:])
        value = fixed(q, W, lambda i, q=q: torch.linalg.inv(H[i:, i:])[0, 0])
        error = (W[:, q] - value) / free[0, 0]
        W[:, q:] -= error[:, None] * free[0][None, :]
        W[:, q] = value
    return W


@pytest.mark.parametrize(("bits", "group_size", "symmetric"), [(4, 0, True), (3, 64, False), (2, 16, True)])
def test_gptq_is_its_plain_definition(case, bits, group_size, symmetric):
    weight, statistics = case
    grid = Affine(bits, group_size, symmetric)
    parameters = grid.fit(weight)
    scales, zeros = parameters["scales"], grid.zero_codes(parameters)
    size = group_size or COLUMNS

    def fixed(q, W, _free):
        scale, zero = scales[:, q // size].double(), zeros[:, q // size].double()
        return ((W[:, q] / scale).round() + zero).clamp(0, 2**bits - 1).sub(zero) * scale

    expected = plain_optimal_brain(weight, damped(statistics), fixed)
    solved = solve([weight], statistics.factor(0.01), Target(Fitted(grid, parameters)), never)
    same = (solved.quantized.dequantize().double() - expected).abs() < 1e-6
    assert same.float().mean() > 0.995  # float32 against float64: a weight halfway between two levels may go either way
    assert relative_loss(weight, solved.weight, statistics.hessian) < 0.8 * relative_loss(
        weight, round_to_nearest(weight, grid).dequantize(), statistics.hessian
    )


def test_sparsegpt_two_of_four_is_its_plain_definition(case):
    weight, statistics = case
    H, mask = damped(statistics), torch.zeros(ROWS, COLUMNS, dtype=torch.bool)

    def fixed(q, W, free):
        if q % 4 == 0:
            columns = range(q, min(q + 4, COLUMNS))
            salience = torch.stack([W[:, i] ** 2 / free(i) for i in columns], 1)
            gone = salience.argsort(1)[:, : max(0, len(columns) - 2)]
            mask[:, q : q + 4] = torch.zeros_like(salience, dtype=torch.bool).scatter(1, gone, True)
        return W[:, q].masked_fill(mask[:, q], 0)

    expected = plain_optimal_brain(weight, H, fixed)
    solved = solve([weight], statistics.factor(0.01), Target(pattern=(2, 4)), never)
    assert torch.equal(solved.mask, mask)
    assert torch.allclose(solved.weight.double(), expected, atol=1e-4)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.77])
def test_sparsegpt_zeroes_exactly_its_share_of_each_matrix(case, sparsity):
    weight, statistics = case
    parts = [weight[:5], weight[5:]]
    solved = solve(parts, statistics.factor(0.01), Target(sparsity=sparsity), never)
    for part, mask in zip(parts, solved.mask.split([5, 7]), strict=True):
        assert int(mask.sum()) == round(sparsity * part.numel())
    assert bool((solved.weight[solved.mask] == 0).all())
    magnitude = weight.masked_fill(solve(parts, torch.eye(COLUMNS), Target(sparsity=sparsity), never).mask, 0)
    H = statistics.hessian
    assert relative_loss(weight, solved.weight, H) < relative_loss(weight, magnitude, H)


def test_matrices_that_share_an_input_are_solved_as_if_alone(case):
    weight, statistics = case
    parts, factor = [weight[:5], weight[5:]], statistics.factor(0.01)
    together = solve(parts, factor, Target(sparsity=0.4), never)
    alone = [solve([part], factor, Target(sparsity=0.4), never) for part in parts]
    assert torch.equal(together.mask, torch.cat([one.mask for one in alone]))
    assert torch.allclose(together.weight, torch.cat([one.weight for one in alone]), atol=1e-5)


def test_rounding_and_zeroing_in_one_pass_keeps_both(case):
    weight, statistics = case
    grid = Affine(3, 32, True)
    target = Target(Fitted(grid, grid.fit(weight)), sparsity=0.5)
    solved = solve([weight], statistics.factor(0.01), target, never)
    value = solved.quantized.dequantize()
    assert bool((value[solved.mask] == 0).all()) and int(solved.mask.sum()) == round(0.5 * weight.numel())
    assert torch.allclose(value, solved.weight)


def test_earlier_zeros_are_kept_and_counted_first(case):
    weight, statistics = case
    earlier = lowest_in_groups(weight.abs(), 3, 4)
    weight = weight.masked_fill(earlier, 0)
    pruned = solve([weight], statistics.factor(0.01), Target(sparsity=0.5), never, earlier=earlier)
    assert bool(pruned.mask[earlier].all()) and int(pruned.mask.sum()) == round(0.5 * weight.numel())
    grid = Affine(4, 0, False)
    target = Target(Fitted(grid, grid.fit(weight)))
    rounded = solve([weight], statistics.factor(0.01), target, never, earlier=earlier)
    assert bool((rounded.quantized.dequantize()[earlier] == 0).all())


def test_zeros_that_are_enough_already_cost_nothing_more(case):
    weight, statistics = case
    earlier = late_zeros(weight)
    weight = weight.masked_fill(earlier, 0)
    target = Target(sparsity=float(earlier.double().mean()))
    solved = solve([weight], statistics.factor(0.01), target, never, earlier=earlier)
    assert torch.equal(solved.mask, earlier) and torch.equal(solved.weight, weight)
    assert float(solved.loss.sum()) == 0


def test_the_loss_that_is_believed_is_that_of_what_is_stored(case):
    weight, statistics = case
    earlier = late_zeros(weight)
    weight = weight.masked_fill(earlier, 0)
    solved = solve([weight], statistics.factor(0.01), Target(sparsity=0.6), never, earlier=earlier)
    assert bool(solved.mask[earlier].all()) and int(solved.mask.sum()) == round(0.6 * weight.numel())
    lost = weight - solved.weight.masked_fill(solved.mask, 0)
    H = statistics.hessian + 0.01 * statistics.hessian.diagonal().mean() * torch.eye(COLUMNS)
    assert torch.allclose(((lost @ H) * lost).sum(1), solved.loss, rtol=1e-3)


def test_new_zeros_are_spread_over_the_weights_that_are_left(case):
    weight, statistics = case
    earlier = torch.arange(COLUMNS).expand_as(weight) >= COLUMNS // 2
    solved = solve(
        [weight.masked_fill(earlier, 0)], statistics.factor(0.01), Target(sparsity=0.75), never, earlier=earlier
    )
    assert int(solved.mask[:, : COLUMNS // 2].sum()) == round(0.25 * weight.numel())


@pytest.mark.parametrize("fitted", [False, True])
def test_groups_with_fewer_than_n_left_get_none_back(case, fitted):
    weight, statistics = case
    earlier = late_zeros(weight)
    weight, grid = weight.masked_fill(earlier, 0), Affine(4, 0, True)
    target = Target(Fitted(grid, grid.fit(weight)) if fitted else None, pattern=(2, 4))
    solved = solve([weight], statistics.factor(0.01), target, never, earlier=earlier)
    assert bool(solved.mask[earlier].all()) and bool((solved.weight[earlier] == 0).all())
    assert max(int((~part).sum(1).max()) for part in solved.mask.split(4, dim=1)) == 2


def test_the_order_of_channels_changes_the_walk_and_not_the_places(case):
    weight, statistics = case
    order = statistics.hessian.diagonal().argsort(descending=True)
    grid = Affine(3, 32, True)
    target = Target(Fitted(grid, grid.fit(weight)))
    solved = solve([weight], statistics.factor(0.01, order), target, never, order=order)
    H, stored = statistics.hessian, solve([weight], statistics.factor(0.01), target, never)
    assert relative_loss(weight, solved.weight, H) < relative_loss(weight, stored.weight, H)
    assert torch.allclose(solved.quantized.dequantize(), solved.weight)


def test_mending_reaches_least_squares_under_the_mask(case):
    weight, statistics = case
    H, mask = damped(statistics), lowest_in_groups(weight.abs(), 2, 4)
    expected = torch.zeros_like(weight, dtype=torch.float64)
    for row, (kept, before) in enumerate(zip(~mask, weight.double(), strict=True)):
        expected[row, kept] = torch.linalg.solve(H[kept][:, kept], (H @ before)[kept])
    start = weight.masked_fill(mask, 0)
    loss = [relative_loss(weight, start, statistics.hessian)]
    for steps in (2, 10, 200):
        mended = refine(start, weight, mask, statistics.hessian, dampening=0.01, steps=steps, check=never)
        loss.append(relative_loss(weight, mended, statistics.hessian))
    assert loss == sorted(loss, reverse=True) and loss[2] < 0.7 * loss[0]
    assert torch.allclose(mended.double(), expected, atol=1e-3)
    assert bool((mended[mask] == 0).all())


@pytest.mark.parametrize("method", ["prune_magnitude", "prune_wanda", "prune_sparsegpt"])
def test_mended_models_stay_nearer_and_keep_their_zeros(session, tiny_recipe, method):
    gaps, masks = [], []
    for mend in (0, 10):
        recipe = tiny_recipe("llama", {method: {"n_of_m": "2:4", "mend": mend}})
        model, job = compressed(session, recipe)
        baseline = session.baseline(recipe)
        batch = session.calibration(recipe, baseline, job)
        with torch.no_grad():
            gaps.append(float((model.module(batch).logits - baseline.module(batch).logits).square().mean()))
        masks.append(model.masks)
        assert all(bool((model.weight(name)[mask] == 0).all()) for name, mask in model.masks.items())
    assert gaps[1] < gaps[0]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_searched_scales_have_less_weighted_error(case, bits, symmetric):
    weight, statistics = case
    weight = weight**3  # outlying weights, so that there is something to clip
    grid, importance = Affine(bits, 50, symmetric), statistics.hessian.diagonal()

    def error(parameters):
        return ((Fitted(grid, parameters).round(weight).dequantize() - weight).square() * importance).sum()

    assert error(grid.search(weight, importance)) < 0.97 * error(grid.fit(weight))


def test_a_solve_can_be_stopped_within_a_matrix(case):
    weight, statistics = case
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        solve([weight], statistics.factor(0.01), Target(sparsity=0.5), check)


def test_one_threshold_for_all_makes_no_sense_while_solving():
    with pytest.raises(BadInput, match="uniform or outliers"):
        PruneSparsegpt(ratios="global")


def test_ratios_are_no_matter_of_one_layer():
    with pytest.raises(BadInput, match="set for the whole step"):
        PruneSparsegpt(overrides={"layers.0.*": {"ratios": "outliers"}})


# -- in a model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session():
    return Session()


def compressed(session, recipe: Recipe):
    def quiet(event):
        """Nobody watches."""

    job = Job(quiet, lambda: False, Tracker({}, quiet))
    return session.compress(recipe, job)[0], job


def test_wanda_is_its_plain_definition(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"prune_wanda": {"sparsity": 0.4}})
    model, _ = compressed(session, recipe)
    baseline = session.baseline(recipe)
    captured = {}

    def keep(name):
        return lambda _module, inputs: captured.__setitem__(name, inputs[0].reshape(-1, inputs[0].shape[-1]).double())

    names = baseline.linear_names()
    handles = [
        baseline.module.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(keep(name))
        for name in names
    ]
    sequences = session.calibration(recipe, baseline, compressed(session, tiny_recipe("llama"))[1])
    with torch.no_grad():
        baseline.module(input_ids=sequences)
    for handle in handles:
        handle.remove()
    for name in names:
        weight = baseline.weight(name)
        norm = captured[name].square().mean(0).sqrt()
        for row, kept in zip(weight, model.weight(name), strict=True):
            worth = [float(abs(w) * n) for w, n in zip(row.double(), norm, strict=True)]
            gone = sorted(range(len(worth)), key=worth.__getitem__)[: int(0.4 * len(worth))]
            expected = row.clone()
            expected[gone] = 0
            assert torch.equal(kept, expected)


@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:3"])
def test_magnitude_n_of_m_is_its_plain_definition(session, tiny_recipe, pattern):
    recipe = tiny_recipe("llama", {"prune_magnitude": {"n_of_m": pattern}})
    model, _ = compressed(session, recipe)
    n, m = map(int, pattern.split(":"))
    for name in model.linear_names():
        for row, kept in zip(session.baseline(recipe).weight(name).tolist(), model.weight(name).tolist(), strict=True):
            for start in range(0, len(row), m):
                part = row[start : start + m]
                best = sorted(range(len(part)), key=lambda i, part=part: -abs(part[i]))[:n]
                assert kept[start : start + m] == [w if i in best else 0 for i, w in enumerate(part)]


def test_blocks_with_more_outliers_keep_more(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"prune_wanda": {"sparsity": 0.5, "ratios": "outliers"}})
    model, job = compressed(session, recipe)
    shares = [
        sum(int(model.masks[n].sum()) for n in model.linear_names() if f".layers.{layer}." in n)
        / sum(model.weights[n].count for n in model.linear_names() if f".layers.{layer}." in n)
        for layer in range(model.depth)
    ]
    assert max(shares) - min(shares) > 0.1 and model.sparsity() == pytest.approx(0.5, abs=0.02)
    assert any(said.code == "prune.shares" for said in job.remembered)


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.97])
def test_shares_by_block_come_to_the_share_asked_for_however_far_they_are_cut(mean):
    levelled = _levelled(np.array([0.0, -0.02, -0.16]), np.array([100, 300, 100]), mean)
    assert np.average(levelled, weights=[100, 300, 100]) == pytest.approx(mean, abs=1e-9)
    assert 0 <= levelled.min() < levelled.max() <= 0.99


def test_what_has_no_factor_is_rounded_to_nearest_and_said(session, tiny_recipe, monkeypatch):
    def refuse(self, dampening, order=None):
        raise Unfactorable

    monkeypatch.setattr(InputStatistics, "factor", refuse)
    settings = {"bits": 3, "group_size": 16}
    model, job = compressed(Session(), tiny_recipe("llama", {"quantize_gptq": settings}))
    nearest, _ = compressed(session, tiny_recipe("llama", {"quantize_rtn": settings}))
    assert model.weights_hash() == nearest.weights_hash()
    assert any(notice.code == "solve.no_factor" for notice in job.notices)


@pytest.mark.parametrize("statistics", ["baseline", "sequential"])
def test_making_up_for_errors_beats_doing_without(session, tiny_recipe, statistics):
    """On the calibration text itself, with random weights: the output of the model stays nearer."""
    calibration = tiny_recipe("llama").calibration.model_dump() | {"statistics": statistics}
    pairs = [
        ({"quantize_gptq": {"bits": 3, "group_size": 0}}, {"quantize_rtn": {"bits": 3, "group_size": 0}}),
        ({"prune_sparsegpt": {"sparsity": 0.5}}, {"prune_magnitude": {"sparsity": 0.5}}),
    ]
    for better, worse in pairs:
        distance = []
        for step in (better, worse):
            recipe = tiny_recipe("llama", step, calibration=calibration)
            model, job = compressed(session, recipe)
            batch = session.calibration(recipe, session.baseline(recipe), job)
            with torch.no_grad():
                gap = model.module(batch).logits - session.baseline(recipe).module(batch).logits
            distance.append(float(gap.square().mean()))
        assert distance[0] < distance[1]
