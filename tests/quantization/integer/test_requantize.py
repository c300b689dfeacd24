"""Requantization against exact fractions; the oracle tests hold it against TensorFlow Lite Micro itself."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.quantization.integer.requantize import (
    ROUNDINGS,
    Grid,
    multiply_rounding_once,
    multiply_rounding_twice,
    quantize_multiplier,
    requantize,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
REAL = st.floats(1e-9, 100.0)


@given(REAL)
def test_a_multiplier_is_its_31_bit_mantissa_and_exponent(real):
    mantissa, exponent = map(int, quantize_multiplier(real))
    assert 2**30 <= mantissa < 2**31
    assert abs(Fraction(mantissa) * Fraction(2) ** (exponent - 31) - Fraction(real)) <= Fraction(2) ** (exponent - 32)


@given(INT32, REAL)
def test_one_rounding_is_the_exact_product_half_upwards(acc, real):
    mantissa, exponent = map(int, quantize_multiplier(real))
    exact = acc * Fraction(mantissa) * Fraction(2) ** (exponent - 31)
    expected = min(max(math.floor(exact + Fraction(1, 2)), -(2**31)), 2**31 - 1)
    assert int(multiply_rounding_once(np.int64(acc), mantissa, exponent)) == expected


@given(INT32, st.floats(1e-9, 0.999))
def test_two_roundings_stay_within_three_quarters_of_the_exact_product(acc, real):
    mantissa, exponent = map(int, quantize_multiplier(real))
    exact = acc * Fraction(mantissa) * Fraction(2) ** (exponent - 31)
    assert abs(int(multiply_rounding_twice(np.int64(acc), mantissa, exponent)) - exact) <= Fraction(3, 4)


def test_the_second_rounding_sees_a_rounded_number():
    """4 · 11/32 = 1.375 is 1. In two steps 4 · 11/16 = 2.75 is 3, and half of 3 is 2."""
    mantissa, exponent = 11 << 27, -1
    assert int(multiply_rounding_once(np.int64(4), mantissa, exponent)) == 1
    assert int(multiply_rounding_twice(np.int64(4), mantissa, exponent)) == 2


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_what_is_too_large_saturates_and_never_wraps(rounding):
    acc = np.array([[-(2**31), -(10**9), 0, 10**9, 2**31 - 1]])
    for step in (1e-9, 0.01, 1.0, 1000.0, 2.0**29):
        codes = requantize(acc, step, Grid(1.0, 5, -100, 100), rounding)
        assert codes.min() >= -100 and codes.max() <= 100
        assert (np.diff(codes[0]) >= 0).all(), "a larger sum gave a smaller code"


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_scales_belong_to_channels(rounding):
    acc = np.full((2, 3, 4, 5), 100)
    codes = requantize(acc, np.array([0.1, 0.2, 0.3]), Grid(1.0, 0, -128, 127), rounding)
    assert codes.shape == acc.shape
    assert codes[1, :, 2, 2].tolist() == [10, 20, 30]


@pytest.mark.parametrize("real", [math.nan, -0.1, math.inf, 2.0**31])
def test_a_multiplier_that_is_none_is_refused_in_one_sentence(real):
    with pytest.raises(ValueError, match="multiplier is not in"):
        quantize_multiplier(real)


def test_a_vanishing_multiplier_gives_zero():
    assert requantize(np.array([[2**31 - 1]]), 2.0**-34, Grid(1.0, 7, -128, 127))[0, 0] == 7


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_grid_needs_a_positive_scale(scale):
    with pytest.raises(ValueError, match="makes no grid"):
        Grid(scale, 0, -128, 127)


def test_a_grid_contains_zero():
    with pytest.raises(ValueError, match="must contain 0"):
        Grid(1.0, 200, -128, 127)


def test_activations_beyond_the_grid_saturate_and_nan_is_refused():
    grid = Grid(0.1, 0, -128, 127)
    assert grid.quantize([1e30, -np.inf, 0.05, 0.15]).tolist() == [127, -128, 0, 2]  # halves to the even code
    with pytest.raises(ValueError, match="NaN among the numbers"):
        grid.quantize([0.0, np.nan])


def test_an_unknown_rounding_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean tflite"):
        requantize(np.zeros((1, 1)), 1.0, Grid(1.0, 0, -1, 1), "tflight")
