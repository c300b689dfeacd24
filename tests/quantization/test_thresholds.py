"""Batch norm and sign as an integer comparison: exact for every sum, on either side of every rounding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from labkit.quantization import thresholds as folding
from labkit.quantization.binary import Sign, thresholds

REACH = 600
numbers = st.one_of(
    st.floats(-1e3, 1e3, width=32),
    st.integers(-20, 20).map(float),
    st.sampled_from([0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38, float("inf"), -float("inf")]),
)
finite = st.one_of(st.floats(-1e3, 1e3, width=32), st.integers(-20, 20).map(float))
variances = st.one_of(st.floats(0, 1e4, width=32), st.sampled_from([0.0, 1.0, 4.0, 1e-30]))


def norm_of(gamma, beta, mean, variance, two_d=True):
    norm = (nn.BatchNorm2d if two_d else nn.BatchNorm1d)(len(gamma)).eval()
    for name, values in (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", variance)):
        getattr(norm, name).data = torch.tensor(values, dtype=torch.float32)
    return norm


def every_sum(norm, reach, scale=1.0, layout=torch.contiguous_format):
    """What the float network says of every sum, (sums, channels), laid out as a picture of 1 x sums."""
    sums = torch.arange(-reach, reach + 1, dtype=torch.float32)
    x = (sums * scale).expand(1, norm.num_features, 1, -1).contiguous(memory_format=layout)
    with torch.no_grad():
        return nn.Sequential(norm, Sign())(x)[0, :, 0].T.numpy()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_exact_for_every_sum(data):
    channels = data.draw(st.integers(1, 17))
    draw = lambda values: data.draw(st.lists(values, min_size=channels, max_size=channels))  # noqa: E731
    norm = norm_of(draw(finite), draw(numbers), draw(finite), draw(variances))
    scale = data.draw(st.sampled_from([1.0, 2.0**-7, 0.3]))
    found = thresholds(norm, REACH, scale)
    sums = np.arange(-REACH, REACH + 1)[:, None].repeat(channels, axis=1)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert np.array_equal(found(sums), every_sum(norm, REACH, scale, layout))


@settings(max_examples=300, deadline=None)
@given(t=st.integers(-REACH, REACH), gamma=finite.filter(lambda g: abs(g) > 1e-3), variance=variances, beta=finite)
def test_exact_where_the_line_crosses_zero_at_an_integer(t, gamma, variance, beta):
    """The mean is chosen so that a sum lies on the threshold itself, where every rounding counts."""
    norm = norm_of([gamma], [beta], [0.0], [variance])
    norm.running_mean.data += t + beta * (variance + norm.eps) ** 0.5 / gamma
    found = thresholds(norm, REACH)
    sums = np.arange(-REACH, REACH + 1)[:, None]
    assert np.array_equal(found(sums), every_sum(norm, REACH))


def test_numpy_computes_what_torch_does():
    """And where it does not, the two differ by the last rounding of a sum that lies on the threshold."""
    rng = np.random.default_rng(0)
    gamma, beta, mean = rng.normal(size=(3, 2000)).astype(np.float32) * 10
    variance = rng.uniform(0, 100, 2000).astype(np.float32)
    norm = norm_of(gamma.tolist(), beta.tolist(), mean.tolist(), variance.tolist())
    ours = folding.find(lambda sums: folding.batch_norm(sums, gamma, beta, mean, variance), -REACH, REACH)
    theirs = thresholds(norm, REACH)
    assert np.array_equal(ours.falling, theirs.falling)
    assert np.array_equal(ours.limit, theirs.limit)


def test_the_closed_form_is_not_exact():
    """The reason for asking about every sum: on the threshold float32 and the formula disagree."""
    rng = np.random.default_rng(1)
    t = rng.integers(-100, 100, 5000)
    gamma, beta = rng.uniform(0.5, 2, 5000).astype(np.float32), rng.normal(size=5000).astype(np.float32)
    variance = rng.uniform(0, 100, 5000).astype(np.float32)
    mean = (t + beta * np.sqrt(variance + 1e-5) / gamma).astype(np.float32)
    norm = norm_of(gamma.tolist(), beta.tolist(), mean.tolist(), variance.tolist())
    exact = thresholds(norm, REACH)
    formula = np.ceil(folding.closed_form(gamma, beta, mean, variance))
    assert np.abs(formula - exact.limit).max() == 1
    assert 100 < np.count_nonzero(formula != exact.limit) < 4000


def test_where_nothing_is_near_the_threshold_the_closed_form_is_right():
    rng = np.random.default_rng(2)
    gamma, mean = rng.choice([-1, 1], 200) * rng.uniform(0.5, 2, 200), rng.integers(-50, 50, 200) + 0.5
    variance = rng.uniform(1, 100, 200)
    norm = norm_of(gamma.tolist(), [0.0] * 200, mean.tolist(), variance.tolist())
    found = thresholds(norm, REACH)
    t = folding.closed_form(gamma, np.zeros(200), mean, variance)
    assert np.array_equal(found.limit, np.where(gamma < 0, np.floor(t), np.ceil(t)))
    assert np.array_equal(found.falling, gamma < 0)


def test_gamma_of_zero_follows_beta():
    found = thresholds(norm_of([0.0, 0.0, -0.0], [0.5, -0.5, 0.0], [3.0] * 3, [1.0] * 3), 9)
    sums = np.arange(-9, 10)[:, None].repeat(3, axis=1)
    assert np.array_equal(found(sums), np.tile([1, -1, 1], (19, 1)))


def test_signs_of_pictures_and_of_vectors():
    found = folding.Thresholds(np.array([1, 1]), np.array([False, True]))
    sums = np.arange(-3, 5).reshape(1, 2, 2, 2)
    assert np.array_equal(found(sums)[0, 0], [[-1, -1], [-1, -1]])
    assert np.array_equal(found(sums)[0, 1], [[1, -1], [-1, -1]])
    assert found(sums).dtype == np.int8


def test_linear_layers_have_one_dimensional_norms():
    norm = norm_of([1.0, -2.0], [0.3, 0.3], [1.0, 1.0], [1.0, 1.0], two_d=False)
    sums = torch.arange(-9, 10, dtype=torch.float32)[:, None].repeat(1, 2)
    with torch.no_grad():
        expected = Sign()(norm(sums)).numpy()
    assert np.array_equal(thresholds(norm, 9)(sums.numpy().astype(int)), expected)


def test_nan_is_one_sentence():
    with pytest.raises(ValueError, match="batch norm of channel 1 gives NaN"):
        thresholds(norm_of([1.0, float("nan")], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]), 5)
    with pytest.raises(ValueError, match="channel 0 gives NaN"):  # 0 times an infinite slope
        thresholds(norm_of([float("inf")], [0.0], [0.0], [1.0]), 5)


def test_only_straight_lines_fold():
    with pytest.raises(ValueError, match="more than once"):
        folding.find(lambda sums: (sums**2 - 4)[:, None], -5, 5)


def test_a_norm_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="in training mode"):
        thresholds(nn.BatchNorm2d(2), 5)
