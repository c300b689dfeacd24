"""Shifts and additions give the accumulators of the multiplying kernels, and a multiplication would be noticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.formats import AdditivePowerOfTwo, Binary, Int, PowerOfTwo, Ternary, TwoStep
from labkit.quantization.integer import kernels, shifts
from labkit.quantization.integer.requantize import Grid, requantize

FORMATS = [PowerOfTwo(4), PowerOfTwo(5), AdditivePowerOfTwo(4), AdditivePowerOfTwo(6, 3), TwoStep(4), Ternary(), Binary(), Int(8)]
ARITHMETIC = {"add", "subtract", "negative", "left_shift", "right_shift", "clip", "minimum", "maximum"}
MOVES = {"full_like", "zeros_like", "empty_like", "copyto", "clip", "moveaxis", "sliding_window_view", "as_strided"}


class Multiplied(AssertionError):
    """Something other than a shift, an addition or a move touched an activation."""


class NoMultiplier(np.ndarray):
    """Activations on a machine without a multiplier. Only what is listed runs: a list of the forbidden could be incomplete."""

    shifted = 0  # numbers shifted so far, on all arrays

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc.__name__ not in ARITHMETIC:
            raise Multiplied(ufunc.__name__)
        plain = [v.view(np.ndarray) if isinstance(v, NoMultiplier) else v for v in inputs]
        kwargs |= {} if out is None else {"out": tuple(v.view(np.ndarray) for v in out)}
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.left_shift:
            NoMultiplier.shifted += result.size
        return np.asarray(result).view(NoMultiplier)  # single numbers too

    def __array_function__(self, function, types, args, kwargs):
        if function.__name__ not in MOVES:
            raise Multiplied(function.__name__)
        return super().__array_function__(function, types, args, kwargs)

    def dot(self, *_):  # two methods ask neither protocol
        raise Multiplied("dot")

    cumprod = dot


def layer(seed: int, format, groups: int = 1, flat: bool = False):
    rng = np.random.default_rng(seed)
    kernel = (3,) if flat else (3, 2)
    x = rng.integers(-128, 128, (2, 4, *(8,) * len(kernel)))
    weight = rng.choice(format.levels, (8, 4 // groups, *kernel))
    settings = {"zero_point": -5, "stride": (2,) * len(kernel), "padding": ((1, 2),) * len(kernel), "dilation": (1,) * len(kernel)}
    return x, weight, rng.integers(-999, 999, 8), settings | {"groups": groups}


@pytest.mark.parametrize("format", FORMATS, ids=repr)
def test_powers_rebuild_every_code(format):
    terms = list(shifts.powers(format.levels))
    assert np.array_equal(sum(sign << exponent for sign, exponent in terms), format.levels)
    most = {AdditivePowerOfTwo: getattr(format, "terms", None), Int: 7}.get(type(format), 1)
    assert len(terms) == most


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(FORMATS), st.sampled_from([1, 2, 4]), st.booleans())
def test_convolution_equals_the_multiplying_kernel(seed, format, groups, flat):
    x, weight, bias, settings = layer(seed, format, groups, flat)
    assert np.array_equal(shifts.conv(x, weight, bias, **settings), kernels.conv(x, weight, bias, **settings))


@pytest.mark.parametrize("format", FORMATS, ids=repr)
def test_linear_equals_the_multiplying_kernel(format):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.integers(-128, 128, (5, 30)), rng.choice(format.levels, (7, 30)), rng.integers(-99, 99, 7)
    assert np.array_equal(shifts.linear(x, weight, bias, zero_point=3), kernels.linear(x, weight, bias, zero_point=3))


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("format", FORMATS[:5], ids=repr)
def test_a_layer_from_codes_to_codes_executes_no_multiplication(format, groups):
    """Convolution, bias, rescaling by powers of two, saturation. Every power of every weight is one shift for each place."""
    x, weight, bias, settings = layer(1, format, groups)
    step, out = 2.0 ** -np.arange(2, 10), Grid(0.5, -7, -128, 127)
    before = NoMultiplier.shifted
    acc = shifts.conv(x.view(NoMultiplier), weight, bias, **settings)
    shifted = NoMultiplier.shifted - before
    codes = shifts.requantize_by_shift(acc, step, out)
    assert type(acc) is type(codes) is NoMultiplier, "the guard was lost on the way"
    nonzero = sum(int(np.count_nonzero(sign)) for sign, _ in shifts.powers(weight))
    assert shifted == nonzero * acc.size // len(weight)
    plain = requantize(kernels.conv(x, weight, bias, **settings), step, out, "single")
    assert np.array_equal(np.asarray(codes), plain)


def test_a_linear_layer_executes_no_multiplication():
    x = np.arange(12).reshape(2, 6).view(NoMultiplier)
    acc = shifts.linear(x, np.array([[1, -2, 4, 0, 8, -16]]), np.array([5]), zero_point=1)
    assert type(acc) is NoMultiplier
    assert (
        np.asarray(acc).tolist()
        == kernels.linear(np.asarray(x), np.array([[1, -2, 4, 0, 8, -16]]), np.array([5]), zero_point=1).tolist()
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x * 2,
        lambda x: 2 * x,
        lambda x: x @ x.T,
        lambda x: x**2,
        lambda x: x // 2,
        lambda x: x / 2,
        lambda x: x.dot(x.T),
        lambda x: np.dot(x, x.T),
        lambda x: np.einsum("ij,kj->ik", x, x),
        lambda x: np.tensordot(x, x),
        lambda x: np.convolve(x[0], x[1]),
        lambda x: np.inner(x, x),
        lambda x: np.prod(x),
        lambda x: x.prod(),
        lambda x: x.mean(),
        lambda x: x.cumprod(),
        lambda x: np.multiply.reduce(x),
        lambda x: np.multiply.outer(x, x),
        lambda x: np.square(x),
        lambda x: np.vdot(x, x),
    ],
)
def test_the_guard_notices_a_multiplication(use):
    with pytest.raises(Multiplied):
        use(np.arange(6).reshape(2, 3).view(NoMultiplier))


def test_the_guard_notices_one_inside_the_shifting_kernel(monkeypatch):
    x, weight, bias, settings = layer(2, PowerOfTwo(4))
    monkeypatch.setattr(shifts, "_shift_and_add", lambda taps, rows: np.tensordot(rows, taps, axes=1))
    with pytest.raises(Multiplied, match="tensordot"):
        shifts.conv(x.view(NoMultiplier), weight, bias, **settings)


def test_the_guard_fires_on_the_ordinary_kernels():
    x, weight, bias, settings = layer(3, PowerOfTwo(4))
    with pytest.raises(Multiplied, match="matmul"):
        kernels.conv(x.view(NoMultiplier), weight, bias, **settings)
    with pytest.raises(Multiplied, match="multiply"):
        kernels.conv(x.view(NoMultiplier), weight[:4, :1], bias[:4], **settings | {"groups": 4})
    with pytest.raises(Multiplied, match="matmul"):
        kernels.linear(np.ones((1, 2), dtype=int).view(NoMultiplier), np.array([[1, 2]]))


@pytest.mark.parametrize("step", [0.3, np.array([0.25, 0.3]), 4.0])
def test_scales_that_are_no_right_shift_are_refused(step):
    with pytest.raises(ValueError, match="do not give a right shift"):
        shifts.requantize_by_shift(np.zeros((1, 2), dtype=int), step, Grid(1.0, 0, -128, 127))
