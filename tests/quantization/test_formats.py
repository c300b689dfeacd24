"""Every format against what defines it: the nearest of its levels, found by looking at all of them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.formats import AdditivePowerOfTwo, Binary, Int, PowerOfTwo, Ternary, TwoStep

INTS = [Int(2), Int(4), Int(8), Int(4, narrow=False), Int(8, narrow=False), Int(1, signed=False), Int(8, signed=False)]
SHIFTS = [PowerOfTwo(bits) for bits in (2, 3, 4, 5)]
SUMS = [
    AdditivePowerOfTwo(bits, terms) for bits in (2, 3, 4, 5, 6, 8) for terms in (1, 2, 3) if terms < bits and bits <= 4 * terms + 1
]
TWO_STEPS = [TwoStep(bits) for bits in (2, 3, 4, 5, 8)]
NEAREST = [*INTS, *SHIFTS, *SUMS, Ternary(), Binary()]
ALL = [*NEAREST, *TWO_STEPS]
SYMMETRIC = [*SHIFTS, *SUMS, *TWO_STEPS, Ternary(), Int(2), Int(4), Int(8)]

every = pytest.mark.parametrize("format", ALL, ids=repr)


def numbers(format, n: int = 400, seed: int = 0) -> np.ndarray:
    """Some inside the levels, some far outside, some exactly on a level, some exactly between two."""
    rng = np.random.default_rng(seed)
    levels = format.levels.astype(float)
    width = max(levels[-1] - levels[0], 1.0)
    spread = rng.uniform(levels[0] - width, levels[-1] + width, n)
    small = rng.normal(0, 2, n)
    return np.concatenate([spread, small, levels, (levels[1:] + levels[:-1]) / 2, [0.0, -0.0, 1e9, -1e9]])


def nearest(levels: np.ndarray, x: float, ties: str) -> int:
    """By looking at all levels; `ties` says which of two equally near ones wins."""
    distance = np.abs(levels - x)
    best = levels[distance == distance.min()]
    if ties == "even" and len(best) > 1:
        return int(next(level for level in best if level % 2 == 0))
    return int(best[np.argmin(np.abs(best))]) if ties != "up" else int(best.max())


@pytest.mark.parametrize("format", NEAREST, ids=repr)
def test_project_finds_the_nearest_level(format):
    ties = "even" if isinstance(format, Int) else "up" if isinstance(format, Binary) else "towards zero"
    x = numbers(format)
    assert format.project(x).tolist() == [nearest(format.levels, value, ties) for value in x]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NEAREST), st.floats(-1e6, 1e6))
def test_no_level_is_nearer_than_the_one_chosen(format, x):
    chosen = float(format.project(np.array([x]))[0])
    assert chosen in format.levels
    assert abs(chosen - x) == np.abs(format.levels - x).min()


@every
def test_projecting_twice_changes_nothing(format):
    if isinstance(format, TwoStep):  # its levels are those of the second step; 8 is none of the first of TwoStep(4)
        assert format.project(format.levels).tolist() == format.levels.tolist()
    once = format.project(numbers(format))
    assert format.project(once).tolist() == once.tolist()


@every
def test_levels_are_ascending_integers_and_all_are_reached(format):
    levels = format.levels
    assert levels.dtype == np.int64 and (np.diff(levels) > 0).all()
    assert (format.low, format.high) == format.bounds == (levels[0], levels[-1])
    assert np.unique(format.project(numbers(format, n=20_000))).tolist() == levels.tolist()


@every
def test_levels_fit_in_the_bits(format):
    assert 2 <= len(format.levels) <= 2**format.bits


@every
def test_it_saturates_and_never_wraps(format):
    far = format.project(np.array([-1e30, -(2.0**40), 2.0**40, 1e30]))
    assert far.tolist() == [format.low, format.low, format.high, format.high]


@every
def test_it_never_turns_back(format):
    assert (np.diff(format.project(np.sort(numbers(format)))) >= 0).all()


@pytest.mark.parametrize("format", SYMMETRIC, ids=repr)
def test_the_grid_is_symmetric_and_has_a_zero(format):
    assert format.levels.tolist() == (-format.levels[::-1]).tolist() and 0 in format.levels
    x = numbers(format)
    assert format.project(-x).tolist() == (-format.project(x)).tolist()


@every
def test_tensors_give_tensors_and_arrays_arrays(format):
    x = numbers(format)[:50].reshape(5, 10)
    array = format.project(x)
    for dtype in (torch.float32, torch.float64):
        tensor = format.project(torch.tensor(x, dtype=dtype))
        assert tensor.dtype == dtype and tensor.shape == (5, 10)
    assert isinstance(array, np.ndarray) and array.tolist() == tensor.tolist()
    assert format.project(3) == format.project(np.array([3.0]))[0], "a plain number is taken as well"


@every
def test_nan_stays_nan(format):
    """A broken weight must not come out as a good one."""
    assert np.isnan(format.project(np.array([np.nan, 1.0]))).tolist() == [True, False]


# -- the sets of levels -----------------------------------------------------------------------------------------------------------


def test_int_levels():
    assert Int(8).levels.tolist() == list(range(-127, 128))
    assert (Int(8, narrow=False).low, Int(8, narrow=False).high) == (-128, 127)
    assert (Int(4, signed=False).low, Int(4, signed=False).high) == (0, 15)
    assert Int(2).levels.tolist() == PowerOfTwo(2).levels.tolist() == Ternary().levels.tolist() == TwoStep(2).levels.tolist()


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_power_of_two_levels(bits):
    """One code is zero; the rest of 2^bits − 1 codes are two signs of equally many exponents."""
    levels = PowerOfTwo(bits).levels
    positive = levels[levels > 0]
    assert len(levels) == 2**bits - 1 and positive[0] == 1
    assert (positive & (positive - 1) == 0).all() and (np.diff(np.log2(positive)) == 1).all()


def test_four_bits_of_shifts_fit_an_int8():
    assert np.abs(PowerOfTwo(4).levels).max() == 64 and np.abs(AdditivePowerOfTwo(8, 2).levels).max() < 2**31


def equation_7(k: int, n: int) -> list[float]:
    """Li et al., arXiv:1909.13144, eq. 7: the sum over i < n of p_i from {0, 2^-i, 2^-(i+n), …, 2^-(i+(2^k−2)n)}, largest 1."""
    terms = [[0.0, *(2.0 ** -(i + j * n) for j in range(2**k - 1))] for i in range(n)]
    sums = sorted({sum(choice) for choice in itertools.product(*terms)})
    return [value / sums[-1] for value in sums]


@pytest.mark.parametrize("magnitude_bits", [2, 4, 6])
def test_additive_levels_are_those_of_the_paper(magnitude_bits):
    n = magnitude_bits // 2
    levels = AdditivePowerOfTwo(magnitude_bits + 1, terms=n).levels
    assert np.allclose(levels[levels >= 0] / levels[-1], equation_7(2, n), rtol=0, atol=1e-15)
    assert len(levels) == 2 ** (magnitude_bits + 1) - 1, "no two sums coincide"


@pytest.mark.parametrize("bits, terms", [(4, 3), (7, 2), (5, 1), (4, 1)])
def test_additive_levels_at_other_widths(bits, terms):
    k = (bits - 1) // terms
    levels = AdditivePowerOfTwo(bits, terms).levels
    assert np.allclose(levels[levels >= 0] / levels[-1], equation_7(k, terms))


def test_additive_levels_of_three_magnitude_bits():
    """The rule of the paper's own code for what does not split evenly: one term of two bits, one of one bit."""
    levels = AdditivePowerOfTwo(4).levels
    assert (levels[levels >= 0] / levels[-1]).tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1]


def test_one_additive_term_is_a_power_of_two():
    for bits in (2, 3, 4, 5):
        assert AdditivePowerOfTwo(bits, terms=1).levels.tolist() == PowerOfTwo(bits).levels.tolist()


@pytest.mark.parametrize("bits, terms", [(3, 1), (4, 2), (5, 2), (6, 3), (8, 2)])
def test_additive_terms_are_powers_that_no_two_terms_share(bits, terms):
    format = AdditivePowerOfTwo(bits, terms)
    powers = [value for term in format.term_values for value in term if value]
    assert len(format.term_values) == terms and all(term[0] == 0 for term in format.term_values)
    assert sorted(powers) == [2**i for i in range(len(powers))]
    assert sum(len(term) - 1 for term in format.term_values) == len(powers)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_the_second_step_rounds_the_logarithm(bits):
    """Exactly, in integers: k becomes 2^e where 2^(2e−1) < k² < 2^(2e+1); no integer lies between, √2 being irrational."""
    format = TwoStep(bits)
    for k in range(1, 2 ** (bits - 1)):
        e = next(e for e in range(bits) if k * k < 2 ** (2 * e + 1))
        assert format.project(np.array([k, -k])).tolist() == [2**e, -(2**e)]
    x = numbers(format)
    assert format.project(x).tolist() == format.project(Int(bits).project(x)).tolist(), "the uniform step comes first"


def test_small_weights_vanish_in_two_steps_and_not_in_one():
    x = np.array([0.03]) * 64  # 3 % of the largest of PowerOfTwo(4)
    assert PowerOfTwo(4).project(x)[0] == 2 and TwoStep(4).project(np.array([0.03]) * 7)[0] == 0


# -- bad input, and how they print ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", [Int, PowerOfTwo, AdditivePowerOfTwo, TwoStep])
@pytest.mark.parametrize("bits", [0, 33, -1, 1, 4.0, "4", True, None])
def test_bits_that_are_none(format, bits):
    with pytest.raises(ValueError, match=f"^{format.__name__} has no {bits!r} bits; give a whole number from 2 to"):
        format(bits)


def test_bits_may_come_from_numpy():
    assert Int(np.int64(4)).levels.tolist() == Int(4).levels.tolist() and Int(np.int64(4)) == Int(4)


def test_an_unsigned_bit_is_a_bit():
    assert Int(1, signed=False).levels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="0 bits"):
        Int(0, signed=False)


@pytest.mark.parametrize("terms", [0, 4])
def test_terms_that_do_not_fit(terms):
    with pytest.raises(ValueError, match=f"4 bits cannot hold {terms} terms beside the sign; give 1 to 3 terms"):
        AdditivePowerOfTwo(4, terms)


@every
def test_formats_are_values(format):
    """Equal when their fields are, usable as keys, the same after a print is read again."""
    assert eval(repr(format)) == format and hash(eval(repr(format))) == hash(format)
    assert str(format).startswith(f"{format!r}: {len(format.levels)} codes")
    with pytest.raises(AttributeError):
        format.bits = 3
