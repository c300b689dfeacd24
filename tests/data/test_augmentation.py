import numpy as np
import pytest
from scipy.signal import resample

from labkit.data.augmentation import Augmentation, add_noise, loudness, speed_and_shift

RATE_HZ = 16000


def tone(hz=1000, n=RATE_HZ):
    return np.sin(2 * np.pi * hz * np.arange(n) / RATE_HZ).astype(np.float32)


class Fixed:
    """A generator that always draws the same number, so that the strength is known."""

    def __init__(self, value):
        self.value = value

    def uniform(self, low, high, size):
        return np.full(size, low + (high - low) * self.value)


def strongest_hz(clip):
    return np.abs(np.fft.rfft(clip)).argmax() * RATE_HZ / len(clip)


def test_speed_moves_the_pitch():
    faster = speed_and_shift(tone()[None], 0.15, 0, Fixed(1.0))[0]
    slower = speed_and_shift(tone()[None], 0.15, 0, Fixed(0.0))[0]
    assert strongest_hz(faster) == pytest.approx(1150, abs=2)
    assert strongest_hz(slower) == pytest.approx(1000 / 1.15, abs=2)


def test_speed_equals_resampling():
    """Twice as fast, around the middle of the clip: every second sample, which is what resampling gives."""
    x = np.hanning(1001).astype(np.float32)
    twice = speed_and_shift(x[None], 1.0, 0, Fixed(1.0))[0]
    np.testing.assert_allclose(twice[250:751], x[::2], atol=1e-6)
    np.testing.assert_allclose(twice[250:750], resample(x[:1000], 500), atol=2e-3)
    assert not twice[:249].any() and not twice[752:].any()


def test_shift_moves_the_sound_by_milliseconds():
    x = np.zeros((1, 1600), dtype=np.float32)
    x[0, 800] = 1
    assert speed_and_shift(x, 0, 10, Fixed(1.0))[0].argmax() == 800 + 160
    assert speed_and_shift(x, 0, 10, Fixed(0.0))[0].argmax() == 800 - 160


@pytest.mark.parametrize("snr", [0, 10, 30])
def test_noise_is_as_loud_as_asked(snr):
    rng = np.random.default_rng(0)
    x = np.stack([tone(), 0.1 * tone(300)])
    noise = add_noise(x, rng.normal(size=(4, RATE_HZ)), (snr, snr), rng) - x
    np.testing.assert_allclose(20 * np.log10(loudness(x) / loudness(noise)), snr, atol=0.05)


def test_same_generator_same_clips_and_the_input_is_left_alone():
    augment = Augmentation(noises=np.random.default_rng(1).normal(size=(5, RATE_HZ)).astype(np.float32))
    x = np.stack([tone()] * 6)
    before = x.copy()
    a, b = (augment(x, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a, b) and np.array_equal(x, before)
    assert a.dtype == np.float32 and np.abs(a).max() <= 1 and len({row.tobytes() for row in a}) == 6


def test_silence_stays_finite():
    augment = Augmentation(noises=np.zeros((1, RATE_HZ)), noise=1)
    assert np.isfinite(augment(np.zeros((4, RATE_HZ), dtype=np.float32), np.random.default_rng(0))).all()
