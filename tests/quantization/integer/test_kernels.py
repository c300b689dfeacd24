"""The integer sums against torch in float64, the pools and the addition against arithmetic with fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.integer import kernels
from labkit.quantization.integer.requantize import ROUNDINGS, Grid


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, "depthwise"]), st.booleans())
def test_convolution_equals_torch_in_float64(seed, groups, flat):
    """1-D and 2-D, groups, strides, padding, dilation: torch pads with the real 0, we with the zero point."""
    rng = np.random.default_rng(seed)
    channels = 6
    out = 6 * int(rng.integers(1, 3)) if groups != 1 else int(rng.integers(1, 8))
    groups = channels if groups == "depthwise" else groups
    axes = 1 if flat else 2
    kernel, stride, padding, dilation = (
        tuple(int(v) for v in rng.integers(a, b, axes)) for a, b in ((1, 4), (1, 3), (0, 3), (1, 3))
    )
    x = rng.integers(-128, 128, (2, channels, *(9,) * axes)).astype(np.int8)
    weight = rng.integers(-127, 128, (out, channels // groups, *kernel)).astype(np.int8)
    bias, zero_point = rng.integers(-9999, 9999, out), int(rng.integers(-128, 128))
    ours = kernels.conv(
        x,
        weight,
        bias,
        zero_point=zero_point,
        stride=stride,
        padding=[(p, p) for p in padding],
        dilation=dilation,
        groups=groups,
    )
    convolve = F.conv1d if flat else F.conv2d
    tensors = [torch.from_numpy(np.asarray(v, dtype=np.float64)) for v in (x.astype(int) - zero_point, weight, bias)]
    theirs = convolve(*tensors, stride=stride, padding=padding, dilation=dilation, groups=groups)
    assert ours.dtype == np.int64
    assert np.array_equal(ours, theirs.numpy())


def test_uneven_padding_goes_where_it_is_said():
    x = np.array([[[5, 6, 7]]])
    acc = kernels.conv(x, np.array([[[1, 10]]]), zero_point=5, stride=(1,), padding=[(0, 1)], dilation=(1,))
    assert acc[0, 0].tolist() == [10, 21, 2]


def test_a_sum_beyond_32_bits_saturates_and_worst_case_said_so():
    weight = np.full((1, 70_000), 127)
    grid = Grid(1.0, -128, -128, 127)
    x = np.full((1, 70_000), 127)
    assert kernels.worst_case(weight, None, grid) == 70_000 * 127 * 255 > 2**31
    assert kernels.linear(x, weight, zero_point=-128)[0, 0] == 2**31 - 1
    assert kernels.linear(x, -weight, zero_point=-128)[0, 0] == -(2**31)
    assert kernels.worst_case(weight[:, :66_311], None, grid) < 2**31 < kernels.worst_case(weight[:, :66_312], None, grid)


def test_worst_case_is_reached():
    rng = np.random.default_rng(0)
    weight, bias = rng.integers(-7, 8, (5, 30)), rng.integers(-99, 99, 5)
    furthest = -128 * np.sign(weight) * np.where(bias < 0, 1, -1)[:, None]  # an input for each output, all signs alike
    acc = np.diag(kernels.linear(furthest, weight, bias))
    assert np.abs(acc).max() == kernels.worst_case(weight, bias, Grid(1.0, 0, -128, 128))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_average_divides_as_its_rounding_says(rounding):
    x = np.arange(-128, 128).reshape(1, 1, 16, 16)
    zero_point = -3
    codes = kernels.average_pool(x, Grid(0.25, zero_point, -128, 127), (1, 2), rounding=rounding)[0, 0].ravel()
    for pair, code in zip(x.reshape(-1, 2), codes, strict=True):
        raw = Fraction(int(pair.sum()), 2)  # always an integer and a half
        if rounding in ("tflite", "single"):
            expected = int(raw + Fraction(1, 2)) if raw > 0 else int(raw - Fraction(1, 2))  # away from zero
        else:
            even = 0 if rounding == "onnx" else zero_point  # which number must be even: the code, or the steps from zero
            expected = round(raw - even) + even  # Python rounds a half to the even integer
        assert code == expected


def test_average_leaves_out_what_is_outside():
    x = torch.randint(-128, 128, (2, 3, 7, 5), generator=torch.Generator().manual_seed(0))
    grid = Grid(1.0, 9, -128, 127)
    ours = kernels.average_pool(x.numpy(), grid, (3, 3), (2, 2), padding=((1, 1), (1, 1)), rounding="exact")
    theirs = F.avg_pool2d(x.double() - 9, 3, 2, 1, count_include_pad=False)
    assert np.array_equal(ours, torch.round(theirs).numpy() + 9)


def test_maximum_equals_torch():
    x = torch.randint(-128, 128, (2, 3, 7, 5), generator=torch.Generator().manual_seed(0))
    ours = kernels.max_pool(x.numpy().astype(np.int8), (3, 2), (2, 1), padding=((1, 1), (1, 1)))
    assert np.array_equal(ours, F.max_pool2d(x.double(), (3, 2), (2, 1), (1, 1)).numpy())


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(ROUNDINGS))
def test_addition_is_within_one_code_of_the_real_sum(seed, rounding):
    rng = np.random.default_rng(seed)
    grids = [Grid(float(rng.uniform(0.01, 0.1)), int(rng.integers(-128, 128)), -128, 127) for _ in range(3)]
    a, b = rng.integers(-128, 128, (2, 200))
    codes = kernels.add(a, grids[0], b, grids[1], grids[2], rounding)
    real = (a - grids[0].zero_point) * grids[0].scale + (b - grids[1].zero_point) * grids[1].scale
    exact = np.clip(real / grids[2].scale + grids[2].zero_point, -128, 127)
    assert np.abs(codes - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: kernels.conv(np.zeros((1, 3, 4, 4)), np.zeros((2, 4, 3, 3))), "do not fit an input"),
        (lambda: kernels.conv(np.zeros((1, 4, 4, 4)), np.zeros((3, 2, 3, 3)), groups=2), "do not fit an input"),
        (lambda: kernels.conv(np.zeros((1, 3, 2, 2)), np.zeros((2, 3, 3, 3))), "does not fit into"),
        (lambda: kernels.linear(np.zeros((1, 3)), np.zeros((2, 4))), "do not fit an input"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
