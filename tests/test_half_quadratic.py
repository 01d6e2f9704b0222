"""The half-quadratic grid, and the strength that a rounded group gets back."""

import pytest
import torch
from compresslab.engine.solvers.half_quadratic import half_quadratic
from compresslab.engine.solvers.rounding import Fitted, QuantizedWeight, round_to_nearest, unbiased
from compresslab.grids.affine import Affine

GRIDS = [Affine(bits, size, symmetric) for bits in (2, 3, 4) for size in (0, 16) for symmetric in (True, False)]


@pytest.fixture
def weight():
    """Mostly small, some far out: what l_p with p < 1 is for. 52 columns divide by no group size."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(24, 52, generator=generator)
    return values * (1 + 4 * (torch.rand(24, 52, generator=generator) > 0.97))


def squared_error(weight, quantized):
    return (weight - quantized.dequantize()).square().sum(1)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_weights_lie_closer_than_on_the_full_range(weight, grid, monkeypatch):
    monkeypatch.setattr(
        "compresslab.engine.solvers.half_quadratic.unbiased", lambda weight, quantized, importance: quantized
    )
    found, nearest = (squared_error(weight, way(weight, grid)) for way in (half_quadratic, round_to_nearest))
    assert bool((found <= nearest * 1.0001).all())  # of no row more
    assert float(found.sum()) < 0.97 * float(nearest.sum())


@pytest.mark.parametrize("symmetric", [True, False])
def test_refitted_scales_are_those_of_least_squares(weight, symmetric):
    grid = Affine(3, 0, symmetric)
    values = weight.unsqueeze(1)
    before = grid.fit(weight)
    exact = values / grid.scales(before).unsqueeze(2)
    after = grid.refitted(values, values, grid.nearest(exact, before), before)
    found = grid.scales(after)
    used = grid.nearest(exact, after).squeeze(1)  # the zero points are those of afterwards
    for row in range(len(weight)):
        expected = torch.linalg.lstsq(used[row].unsqueeze(1), weight[row].unsqueeze(1)).solution
        assert float(found[row, 0]) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_group_gets_its_strength_back_and_keeps_its_codes(weight, grid):
    importance = torch.rand(52, generator=torch.Generator().manual_seed(2)) + 0.1
    before = Fitted(grid, grid.search(weight, importance)).round(weight)
    after = unbiased(weight, before, importance)
    assert torch.equal(after.codes, before.codes)
    size = grid.group_size or 52
    for first in range(0, 52, size):
        w, q, h = (
            weight[:, first : first + size],
            after.dequantize()[:, first : first + size],
            importance[first:][:size],
        )
        assert torch.allclose((w * q * h).sum(1), (w * w * h).sum(1), rtol=2e-3)


def test_groups_of_which_nothing_is_left_keep_their_scale():
    grid = Affine(2, 4, True)
    codes = torch.full((1, 8), 2, dtype=torch.uint8)
    codes[0, 4] = 0
    quantized = QuantizedWeight(codes, {"scales": torch.tensor([[0.5, 0.001]]).half()}, grid)
    after = unbiased(torch.tensor([[0.1, 0.1, 0.1, 0.1, -0.002, 9.0, 9.0, 9.0]]), quantized, torch.ones(8))
    assert float(after.scales[0, 0]) == 0.5
    assert float(after.scales[0, 1]) == pytest.approx(0.002, rel=1e-2)


def test_zeros_stay_zeros(weight):
    pruned = weight.masked_fill(weight.abs() < 0.7, 0)
    for symmetric in (True, False):
        found = half_quadratic(pruned, Affine(3, 16, symmetric)).dequantize()
        assert bool((found[pruned == 0] == 0).all())
