"""The front end against definitions written out slowly, scipy's DCT, and torchaudio."""

import dataclasses

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.audio import torchaudio
from labkit.data.clips import Clips
from labkit.data.features import FeatureConfig, dct_matrix, frame, hann, log_mel, mel_filters, mfcc, mfcc_torchaudio, workload

RNG = np.random.default_rng(0)
CONFIGS = [
    FeatureConfig(),
    FeatureConfig(window_ms=32, hop_ms=16, n_mels=32, low_hz=0, high_hz=8000, n_mfcc=32),
    FeatureConfig(window_ms=40, hop_ms=20, n_fft=1024, n_mels=64, low_hz=60, high_hz=7600, n_mfcc=13),
    FeatureConfig(rate_hz=8000, window_ms=25, hop_ms=10, n_fft=256, n_mels=20, high_hz=3800, n_mfcc=10),
    FeatureConfig(window_ms=25.1, hop_ms=9.9, n_fft=512, n_mels=80, n_mfcc=1),  # an odd window; some bands are empty
]


def chirps(clips=4, samples=16000, rate_hz=16000):
    """Sweeps with harmonics and a little noise, at levels from a whisper to full scale."""
    t = np.arange(samples) / rate_hz
    start = np.linspace(90, 250, clips)[:, None]
    sweep = sum(np.sin(2 * np.pi * k * (start * t + 40 * t**2)) / k for k in range(1, 12))
    audio = sweep + 0.01 * RNG.standard_normal((clips, samples))
    return (audio / np.abs(audio).max() * np.geomspace(1e-3, 1, clips)[:, None]).astype(np.float32)


def mfcc_by_definition(clip, config):
    """One clip, loops and sums only: the Fourier transform as its definition, each triangle drawn by interpolation."""
    frames = []
    for start in range(0, len(clip) - config.window + 1, config.hop):
        n = np.arange(config.window)
        piece = clip[start : start + config.window].astype(np.float64) * (0.5 - 0.5 * np.cos(2 * np.pi * n / config.window))
        hz = np.arange(config.bins) * config.rate_hz / config.n_fft
        power = np.array([abs(np.sum(piece * np.exp(-2j * np.pi * k * n / config.n_fft))) ** 2 for k in range(config.bins)])
        mel = lambda f: 1127 * np.log1p(f / 700)  # noqa: E731
        corners = 700 * np.expm1(np.linspace(mel(config.low_hz), mel(config.high_hz), config.n_mels + 2) / 1127)
        bands = [np.sum(power * np.interp(hz, corners[m : m + 3], [0, 1, 0])) for m in range(config.n_mels)]
        frames.append(scipy.fft.dct(np.log(np.array(bands) + 1e-6), norm="ortho")[: config.n_mfcc])
    return np.array(frames)


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_equals_the_definition(config):
    clip = chirps(1, samples=3000, rate_hz=config.rate_hz)[0]
    np.testing.assert_allclose(mfcc(clip, config), mfcc_by_definition(clip, config), rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_equals_torchaudio(config):
    audio = chirps(rate_hz=config.rate_hz, samples=config.rate_hz)
    assert mfcc(audio, config).dtype == np.float32
    np.testing.assert_allclose(mfcc(audio, config), mfcc_torchaudio(audio, config), rtol=1e-3, atol=1e-3)
    banks = torchaudio().functional.melscale_fbanks(config.bins, config.low_hz, config.high_hz, config.n_mels, config.rate_hz)
    np.testing.assert_allclose(mel_filters(config), banks.numpy(), atol=2e-5)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_dct_equals_scipy(sizes):
    n_mels, n_mfcc = sizes
    expected = scipy.fft.dct(np.eye(n_mels), norm="ortho")[:, :n_mfcc]
    np.testing.assert_allclose(dct_matrix(n_mels, n_mfcc), expected, atol=1e-12)


@given(st.integers(16, 200), st.integers(2, 16), st.integers(1, 20))
def test_framing_takes_every_whole_frame(samples, window, hop):
    config = FeatureConfig(rate_hz=1000, window_ms=window, hop_ms=hop, n_fft=16, n_mels=2, low_hz=0, high_hz=500, n_mfcc=1)
    audio = np.arange(samples)
    expected = [audio[i : i + window].tolist() for i in range(0, samples - window + 1, hop)]
    assert frame(audio, config).tolist() == expected and len(expected) == config.frames(samples)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 20))
def test_louder_adds_the_same_to_every_band(gain):
    """Twice the amplitude is four times the power: log energy rises by 2 ln(gain) where the floor is far below."""
    audio = RNG.standard_normal((1, 16000)) * 0.05
    np.testing.assert_allclose(log_mel(gain * audio) - log_mel(audio), 2 * np.log(gain), atol=5e-3)


def test_a_tone_lights_its_band():
    t = np.arange(16000) / 16000
    for hz in (300, 1000, 3000):
        band = log_mel(np.sin(2 * np.pi * hz * t)).mean(axis=0).argmax()
        peak_hz = np.linspace(0, 8000, 257)[mel_filters(FeatureConfig())[:, band].argmax()]
        assert abs(peak_hz - hz) < 0.06 * hz + 32


def test_batches_types_and_shapes_agree():
    audio = chirps(37)
    pcm = np.round(audio * 32767).astype(np.int16)
    features = mfcc(audio)
    assert features.shape == (37, 49, 10)
    np.testing.assert_allclose(mfcc(audio[20]), features[20], atol=1e-4)
    np.testing.assert_array_equal(mfcc(pcm), mfcc(Clips.from_pcm(pcm)))
    assert mfcc(audio[:0]).shape == (0, 49, 10)
    np.testing.assert_allclose(hann(480), scipy.signal.get_window("hann", 480, fftbins=True), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_ms": 40}, "the window has 640 samples: give a power of two, 1024 or more"),
        ({"n_fft": 500}, "power of two"),
        ({"high_hz": 9000}, "8000 Hz at most"),
        ({"low_hz": 5000}, "must rise"),
        ({"n_mfcc": 41}, "from 1 to n_mels = 40"),
        ({"hop_ms": 0}, "hold no sample"),
        ({"rate_hz": 0}, "hold no sample"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        FeatureConfig(**change)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(479), "shorter than one window"),
        (np.zeros((2, 16000), np.int32), "int32"),
        (np.zeros((1, 2, 16000)), "one channel"),
    ],
)
def test_audio_that_cannot_be(audio, message):
    with pytest.raises(ValueError, match=message):
        mfcc(audio)


def test_workload_matches_what_is_computed():
    for config in CONFIGS:
        front = workload(config, seconds=2.0)
        samples = 2 * config.rate_hz
        assert front.input_shape == (1, samples) and front.input_bits == 16
        assert front["log"].out_shape == log_mel(np.zeros(samples), config).T.shape
        assert front["dct"].out_shape == mfcc(np.zeros(samples), config).T.shape
        assert front["mel"].macs >= np.count_nonzero(mel_filters(config)) * config.frames(samples)
    assert [layer.op for layer in front.layers] == ["window", "fft", "power", "mel", "log", "dct"]
    assert workload(dataclasses.replace(CONFIGS[0], hop_ms=10)).macs > 1.9 * workload(CONFIGS[0]).macs
