"""Masks, grids and packed bits against plain definitions written out in Python."""

import math
import random

import numpy as np
import pytest
import torch
from compresslab.engine.models.packing import _bits, _values
from compresslab.engine.solvers.masks import smallest, smallest_overall
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.grids.affine import Affine


def weight(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.1


# -- masks --------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.5, 0.95, 1.0])
def test_exactly_the_smallest_are_chosen(sparsity):
    w = weight(13, 7)
    order = sorted(range(w.numel()), key=lambda place: abs(w.flatten()[place].item()))
    expected = set(order[: round(sparsity * w.numel())])
    assert set(smallest(w.abs(), sparsity).flatten().nonzero().flatten().tolist()) == expected


def test_ties_go_to_the_first_in_memory():
    mask = smallest(torch.full((2, 5), 3.0), 0.4)
    assert mask.flatten().tolist() == [True] * 4 + [False] * 6


def test_what_was_zeroed_before_counts_first():
    w = torch.tensor([[0.0, 0.0, 0.0, 0.0, 5.0]])
    earlier = torch.tensor([[False, False, True, True, False]])
    mask = smallest(w.abs(), 0.6, earlier)
    assert mask.sum() == 3 and bool(mask[0, 2]) and bool(mask[0, 3])


def test_one_threshold_for_all_is_exact_in_total():
    weights = {"a": weight(5, 9), "b": weight(11, 4, seed=1) * 3}
    masks = smallest_overall({name: w.abs() for name, w in weights.items()}, 0.4)
    flat = sorted(abs(v) for w in weights.values() for v in w.flatten().tolist())
    count = round(0.4 * len(flat))
    assert sum(int(m.sum()) for m in masks.values()) == count
    for name, mask in masks.items():
        assert torch.equal(mask, weights[name].abs() <= flat[count - 1])


# -- grids --------------------------------------------------------------------------------


def float16(value):
    """As numpy rounds it, and never zero."""
    small = math.copysign(2.0**-24, value)
    return float(np.float16(value)) if abs(value) >= 2.0**-24 else small


def float32(value):
    return float(np.float32(value))


def nearest(value):
    """Round half to even, as IEEE does."""
    return round(value)


def plain_group(values, bits, symmetric):
    """Round-to-nearest of one group by its definition: the values it becomes."""
    if symmetric:
        largest = max(values, key=abs)
        scale, zero = float16(float32(largest / -(2 ** (bits - 1)))), 2 ** (bits - 1)
    else:
        low, high = min(0.0, *values), max(0.0, *values)
        scale = float16(float32(float32(high - low) / (2**bits - 1)))
        zero = min(max(nearest(float32(-low / scale)), 0), 2**bits - 1)
    codes = [min(max(nearest(float32(v / scale)) + zero, 0), 2**bits - 1) for v in values]
    return [float32((code - zero) * scale) for code in codes]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group_size", [0, 4, 16, 64])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_equals_its_plain_definition(bits, group_size, symmetric):
    w = weight(6, 22, seed=bits)
    w[0, :3] = 0.0
    size = group_size or 22
    expected = [
        [v for start in range(0, 22, size) for v in plain_group(row[start : start + size], bits, symmetric)]
        for row in w.tolist()
    ]
    assert round_to_nearest(w, Affine(bits, group_size, symmetric)).dequantize().tolist() == expected


@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_stays_exactly_zero(symmetric):
    w = weight(8, 40)
    w[weight(8, 40, seed=3) > 0] = 0.0
    w[2] = 0.0
    again = round_to_nearest(w, Affine(3, 16, symmetric)).dequantize()
    assert bool((again[w == 0] == 0).all())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [1e-9, 1e-4, 60000.0, 3e5])
def test_scales_too_small_or_large_for_float16_give_numbers(symmetric, size):
    w = torch.full((2, 8), size)
    w[1] = -size
    again = round_to_nearest(w, Affine(4, 0, symmetric)).dequantize()
    assert bool(again.isfinite().all())
    assert bool(((again - w).abs() <= w.abs() + 2**-24).all())


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [1, 7, 8, 1001])
def test_bits_come_back_as_they_went_in(bits, count):
    values = np.array(random.Random(bits).choices(range(2**bits), k=count), dtype=np.uint8)
    packed = _bits(values, bits)
    assert packed.numel() == -(-count * bits // 8)
    assert _values(packed, count, bits).tolist() == values.tolist()


def test_the_first_code_stands_in_the_lowest_bits():
    assert _bits(np.array([1, 2, 3], dtype=np.uint8), 4).tolist() == [0x21, 0x03]
