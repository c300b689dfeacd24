"""The integer MFCC: how close it is to the float one, and that nothing overflows at the loudest input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import speech
from labkit.data.features import FeatureConfig, log_mel, mfcc, mfcc_torchaudio
from labkit.data.fixed_point import LOG_MEL_STEP, MFCC_STEP, fft, log2_q16, log_mel_fixed, mfcc_fixed
from tests import shared_speech
from tests.data.test_features import CONFIGS, chirps

FULL = 32767


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_close_to_float(config):
    """The claim: from a whisper to full scale at most 4 steps of the output (1/32) from float, and correlation above 0.999."""
    pcm = np.round(chirps(12, samples=config.rate_hz, rate_hz=config.rate_hz) * FULL).astype(np.int16)
    fixed, exact = mfcc_fixed(pcm, config), mfcc(pcm, config)
    assert fixed.dtype == np.int16 and fixed.shape == exact.shape
    assert np.abs(fixed * MFCC_STEP - exact).max() < 4 * MFCC_STEP
    for k in range(config.n_mfcc):
        assert np.corrcoef(fixed[..., k].ravel(), exact[..., k].ravel())[0, 1] > 0.999


@pytest.mark.parametrize("n_fft", [512, 1024, 4096])
def test_the_loudest_sounds_do_not_overflow(n_fft):
    t = np.arange(16000)
    loud = [np.full(16000, -32768), np.full(16000, FULL), np.where(t % 2, FULL, -32768), np.where(t // 8 % 2, FULL, -32768)]
    loud += [FULL * np.cos(2 * np.pi * hz * t / 16000) for hz in (31.25, 440, 1000, 3999)]
    pcm = np.round(loud).astype(np.int16)
    config = FeatureConfig(window_ms=30 * n_fft / 512, n_fft=n_fft, low_hz=0, high_hz=8000)
    fixed, exact = log_mel_fixed(pcm, config) * LOG_MEL_STEP, log_mel(pcm, config)
    loud = exact > exact.max(axis=-1, keepdims=True) - np.log(1e7)  # 70 dB below the loudest band a 15-bit window is not exact
    assert loud.sum() > 500 and np.abs(fixed - exact)[loud].max() < 0.05


@given(st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_fft_equals_numpy(stages, seed):
    n = 2**stages
    data = np.random.default_rng(seed).integers(-(2**20), 2**20, n).astype(np.int32)
    real, imag = fft(data)
    error = np.abs(real + 1j * imag - np.fft.fft(data)).max()
    assert error <= 2 * stages * n**0.5 + np.abs(np.fft.fft(data)).max() * stages * 2**-15  # rounding, and Q15 twiddles


@given(st.integers(1, 2**62))
def test_log2(value):
    assert abs(int(log2_q16(np.array([value]))[0]) / 65536 - np.log2(value)) < 1e-4


def test_close_to_float_on_real_clips(tmp_path, monkeypatch):
    shared_speech.provide(tmp_path)
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    data = speech.load("mini", progress=False)
    pcm = np.round(data.only(np.arange(0, len(data), 40)).x[:] * 32768).astype(np.int16)
    fixed, exact = mfcc_fixed(pcm) * MFCC_STEP, mfcc(pcm)
    error = np.abs(fixed - exact) / MFCC_STEP
    assert error.max() < 6 and np.sqrt(np.mean(error**2)) < 0.4
    assert min(np.corrcoef(fixed[..., k].ravel(), exact[..., k].ravel())[0, 1] for k in range(10)) > 0.99999
    np.testing.assert_allclose(mfcc(pcm), mfcc_torchaudio(pcm), rtol=1e-3, atol=1e-3)


def test_floats_are_refused():
    with pytest.raises(ValueError, match="int16"):
        mfcc_fixed(np.zeros((1, 16000)))
    assert mfcc_fixed(np.zeros((0, 16000), np.int16)).shape == (0, 49, 10)
