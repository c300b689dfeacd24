import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.quantization.histogram import BINS, Histogram
from labkit.quantization.observers import OBSERVERS, Entropy, MinMax, MovingAverage, Percentile, best_length, divergences, observer

NAMES = sorted(OBSERVERS)


def drawn(kind: str, n: int = 50_000, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(n, generator=generator)
    return {"normal": normal, "relu": normal.relu(), "heavy": normal**3, "shifted": normal + 1.5, "negative": -normal.abs()}[kind]


KINDS = ("normal", "relu", "heavy", "shifted", "negative")


def seen(name: str, *batches, bits: int = 8):
    it = observer(name, bits)
    for batch in batches:
        it.update(batch)
    return it


# -- every observer ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_range_contains_zero_and_stays_within_what_was_seen(name, kind):
    x = drawn(kind)
    low, high = seen(name, x).range()
    assert isinstance(low, float) and isinstance(high, float)
    assert min(x.min().item(), 0) <= low <= 0 <= high <= max(x.max().item(), 0)
    assert high > low


@pytest.mark.parametrize("name", NAMES)
def test_after_a_relu_the_low_end_is_zero(name):
    assert seen(name, drawn("relu")).range()[0] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 2.5, -3e-3, 1e30, -1e-30, 1e-45])
def test_constant_tensor(name, value):
    low, high = seen(name, torch.full((3, 4, 5), value)).range()
    value = torch.tensor(value).item()
    # all there is to represent is 0 and the value; MSE may stop half a grid step short of it
    assert low == pytest.approx(min(value, 0), rel=0.01) and high == pytest.approx(max(value, 0), rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_seen_is_one_sentence(name):
    with pytest.raises(ValueError, match="calibrate with at least one batch"):
        observer(name).range()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_one_sentence_and_leave_no_trace(name, bad):
    it = seen(name, torch.tensor([1.0, -1.0]))
    before = it.range()
    with pytest.raises(ValueError, match="NaN or infinity; check the calibration data"):
        it.update(torch.tensor([0.5, bad]))
    assert it.range() == before


@pytest.mark.parametrize("name", NAMES)
def test_empty_batch_is_one_sentence(name):
    with pytest.raises(ValueError, match="the calibration batch is empty"):
        observer(name).update(torch.zeros(0, 3))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"moving average"}))
def test_order_of_batches_does_not_matter(name):
    batches = [drawn("heavy", seed=seed) * 10.0**seed for seed in range(-2, 3)]
    assert seen(name, *batches).range() == seen(name, *reversed(batches)).range() == seen(name, torch.stack(batches)).range()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"moving average"}))
def test_range_scales_with_the_data(name):
    low, high = seen(name, drawn("normal")).range()
    assert seen(name, drawn("normal") * 8).range() == pytest.approx((8 * low, 8 * high))  # exact: bins are powers of two wide


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32])
def test_other_number_types(dtype):
    assert seen("minmax", torch.tensor([-2, 0, 5]).to(dtype)).range() == (-2.0, 5.0)


def test_what_is_observed_needs_no_gradient():
    x = torch.ones(3, requires_grad=True)
    assert seen("entropy", x * 2).range() == (0.0, 2.0)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"unknown observer 'percentil'; did you mean percentile\?"):
        observer("percentil")


@pytest.mark.parametrize("bits", [0, 1, 33])
def test_bits_without_a_grid(bits):
    with pytest.raises(ValueError, match="2 to 16 bits"):
        observer("mse", bits)


def test_a_large_activation_takes_milliseconds():
    x = drawn("normal", 800_000)
    it = seen("mse", x)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        it.update(x)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05  # 3 ms on a quiet machine


# -- the histogram ----------------------------------------------------------------------------------------------------------------


batches_of_any_size = st.lists(
    st.tuples(st.lists(st.integers(-5000, 5000), min_size=1), st.integers(-30, 60)), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=40)
@given(batches_of_any_size)
def test_histogram_counts_as_numpy_does_whatever_the_order(batches):
    batches = [2.0**exponent * np.float32(numbers) for numbers, exponent in batches]
    histogram = Histogram()
    for batch in batches:
        histogram.add(torch.tensor(batch).float())
    x = np.concatenate(batches).astype(np.float32)
    largest = np.abs(x).max().astype(float)
    assert largest < BINS * histogram.width
    assert largest >= BINS * histogram.width / 2 or largest == 0  # no wider than needed
    expected, _ = np.histogram(x[x != 0].astype(float), bins=histogram.edges)
    assert histogram.counts.tolist() == expected.tolist()
    assert histogram.zeros == (x == 0).sum() and len(histogram) == len(x)


# -- each against what defines it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_minmax_is_numpy(kind):
    batches = [drawn(kind, seed=seed) for seed in range(3)]
    everything = np.concatenate(batches)
    assert seen("minmax", *batches).range() == (min(everything.min(), 0), max(everything.max(), 0))


def test_moving_average_is_the_recurrence():
    batches = [drawn("normal", 100, seed) for seed in range(6)]
    it = MovingAverage(momentum=0.7)
    low = high = None
    for batch in batches:
        it.update(batch)
        a, b = batch.min().item(), batch.max().item()
        low, high = (a, b) if low is None else (low + 0.3 * (a - low), high + 0.3 * (b - high))
    assert it.range() == pytest.approx((low, high))


def test_moving_average_refuses_a_momentum_that_forgets_nothing():
    with pytest.raises(ValueError, match="momentum is 1"):
        MovingAverage(1)


@pytest.mark.parametrize("share", [60, 95, 99.9, 99.99, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_percentile_is_within_one_bin_of_numpy(kind, share):
    batches = [drawn(kind, seed=seed) for seed in range(2)]
    it = Percentile(share)
    for batch in batches:
        it.update(batch)
    low, high = np.percentile(np.concatenate(batches), [100 - share, share])
    assert it.range() == pytest.approx((min(low, 0), max(high, 0)), abs=it.histogram.width)


def test_percentile_of_everything_is_the_largest_and_bad_shares_are_refused():
    assert (
        seen("percentile", drawn("heavy")).range()[1] < Percentile(100).__class__(100).share * 100
    )  # sanity of units: not a percentage
    for share in (50, 0.9999, 101):
        with pytest.raises(ValueError, match="give the percentage"):
            Percentile(share)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 50), min_size=12, max_size=60), st.integers(2, 6), st.data())
def test_divergence_is_scipys_entropy_of_the_two_distributions(counts, levels, data):
    counts = np.array(counts)
    length = data.draw(st.integers(levels, len(counts)))
    p = counts[:length].astype(float)
    p[-1] += counts[length:].sum()
    q = np.zeros(length)
    for level in range(levels):  # Migacz's candidate distribution, bin by bin
        bins = [i for i in range(length) if level * length // levels <= i < (level + 1) * length // levels]
        occupied = [i for i in bins if counts[i]]
        for i in occupied:
            q[i] = sum(counts[i] for i in bins) / len(occupied)
    if not p.sum() or not q.sum():
        return
    expected = stats.entropy(p, q)
    assert divergences(counts, np.array([length]), levels)[0] == pytest.approx(expected, abs=1e-9)


def test_entropy_clips_where_divergence_is_smallest():
    it = seen("entropy", drawn("heavy"), bits=4)
    counts = it.histogram.magnitudes()
    lengths = np.arange(8, np.flatnonzero(counts)[-1] + 2)
    best = lengths[np.argmin(divergences(counts, lengths, 8))]
    assert best_length(counts, 8) == best
    assert it.range()[1] == best * it.histogram.width < seen("minmax", drawn("heavy")).range()[1]


def test_entropy_gives_more_levels_to_one_sided_numbers():
    x = drawn("relu")
    assert Entropy(bits=4).bits == 4
    one_sided, both_sides = seen("entropy", x, bits=4), seen("entropy", torch.cat([x, torch.tensor([-1e-6])]), bits=4)
    assert one_sided.range()[1] > both_sides.range()[1]


def quantized(x: np.ndarray, low: float, high: float, bits: int) -> np.ndarray:
    """An affine grid by torch's own kernel, the independent reference."""
    scale = (high - low) / (2**bits - 1)
    zero_point = round(-low / scale)
    return torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), scale, zero_point, 0, 2**bits - 1).numpy()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_mse_is_as_good_as_a_brute_force_search_over_everything_seen(kind, bits):
    x = drawn(kind).numpy()
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)

    def error(ends):
        return np.mean((x - quantized(x, *ends, bits)) ** 2, dtype=np.float64)

    best = min(error((f * low, f * high)) for f in np.linspace(0.01, 1, 200))
    assert error(seen("mse", torch.from_numpy(x), bits=bits).range()) <= 1.02 * best


def test_fewer_bits_clip_more():
    x = drawn("heavy")
    highs = [seen("mse", x, bits=bits).range()[1] for bits in (2, 3, 4, 6, 8)]
    assert highs == sorted(highs) and highs[0] < highs[-1]


def test_minmax_never_saturates_what_it_saw():
    it = MinMax()
    for seed in range(3):
        it.update(drawn("shifted", seed=seed))
    low, high = it.range()
    assert all((drawn("shifted", seed=seed) >= low).all() and (drawn("shifted", seed=seed) <= high).all() for seed in range(3))
