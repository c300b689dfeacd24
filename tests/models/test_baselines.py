import numpy as np
import pytest

from labkit.models.baselines import PARTS, activity_baseline, keyword_baseline, motion_statistics, word_statistics


def test_word_statistics_have_the_stated_size_and_ignore_a_shift():
    rng = np.random.default_rng(0)
    word = np.full((1, 49, 10), -30.0)  # silence
    word[0, 10:30] = rng.normal(size=(20, 10))
    later = np.roll(word, 12, axis=1)
    a, b = word_statistics(word), word_statistics(later)
    assert a.shape == (1, (PARTS + 3) * 10)
    # the first and the last stretch hold the silence around the word; those between are the same wherever the word begins
    np.testing.assert_allclose(a[:, 10:50], b[:, 10:50])
    np.testing.assert_allclose(a[:, 60:80], b[:, 60:80])


def test_word_statistics_by_hand():
    mfcc = np.arange(12, dtype=float).reshape(1, 6, 2)
    stats = word_statistics(mfcc)[0]
    np.testing.assert_allclose(stats[-6:], [5, 6, *[np.std([0, 2, 4, 6, 8, 10])] * 2, 2, 2])


def test_motion_statistics_find_frequency_and_correlation():
    t = np.arange(128) / 128
    wave = np.sin(2 * np.pi * 8 * t + 0.3)
    stats = motion_statistics(np.stack([wave, -2 * wave, wave + 3])[None])
    assert stats.shape == (1, 11 * 3 + 3)
    mean, spread, low, high, q1, q2, q3, step, crossings, peak, share = stats[0, :33].reshape(11, 3)
    np.testing.assert_allclose(mean, [0, 0, 3], atol=1e-9)
    np.testing.assert_allclose(spread, np.array([1, 2, 1]) / np.sqrt(2))
    np.testing.assert_array_equal(peak, 8)
    np.testing.assert_allclose(share, 1)
    np.testing.assert_allclose(crossings, 15 / 127)  # the 16th is where the window would begin again
    np.testing.assert_allclose(high[1] + low[1], 0, atol=1e-9)
    np.testing.assert_allclose(stats[0, 33:], [-1, 1, -1])
    assert (q1 < q2).all() and (q2 < q3).all() and (step > 0).all()


@pytest.mark.parametrize("make, shape", [(keyword_baseline, (60, 49, 10)), (activity_baseline, (60, 6, 128))])
def test_same_seed_same_answers(make, shape):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=shape), rng.integers(0, 3, 60)
    assert np.array_equal(make(0).fit(x, y).predict(x), make(0).fit(x, y).predict(x))
