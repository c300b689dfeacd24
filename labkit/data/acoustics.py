"""From a clean voice to a recording: microphone, room, distance, noise. All drawn at random, none of it measured."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, resample_poly

from labkit.data.clips import RATE_HZ, SAMPLES

NOISES = ("white", "pink", "brown", "hum", "band", "babble")
QUIETEST_DB, LOUDEST_DB = -38, -12  # level of the word, dB of full scale: the middle 90 % of the real clips lie about here
WORST_SNR_DB, BEST_SNR_DB = 5, 45


def record(voice: np.ndarray, voice_rate_hz: int, tract: float, rng: np.random.Generator) -> np.ndarray:
    """A spoken word as a one-second recording, int16 ``(16000,)``."""
    word = trim(stretch(voice, voice_rate_hz, tract))
    if rng.random() < 0.7:
        word = equalise(word, rng)
    word = band_limit(word, rng)
    if rng.random() < 0.6:
        word = reverberate(word, rng)
    word = word[:SAMPLES]
    level = 10 ** (rng.uniform(QUIETEST_DB, LOUDEST_DB) / 20)
    word = word * level / (np.sqrt(np.mean(word**2)) + 1e-9)
    clip = noise(str(rng.choice(NOISES)), rng) * level * 10 ** (-rng.uniform(WORST_SNR_DB, BEST_SNR_DB) / 20)
    start = int(np.clip((SAMPLES - len(word)) // 2 + rng.integers(-1600, 1601), 0, SAMPLES - len(word)))
    clip[start : start + len(word)] += word
    if rng.random() < 0.12:  # some real recordings are too short and end in zeros
        clip[SAMPLES - int(rng.integers(400, 3000)) :] = 0
    return to_int16(clip)


def silence(rng: np.random.Generator) -> np.ndarray:
    """A second without a word: noise between nearly nothing and loud, int16 ``(16000,)``."""
    return to_int16(noise(str(rng.choice(NOISES)), rng) * 10 ** (rng.uniform(-65, -15) / 20))


def stretch(voice: np.ndarray, rate_hz: int, tract: float) -> np.ndarray:
    """To 16 kHz, read `tract` times slower: a longer vocal tract has all its formants lower."""
    ratio = Fraction(RATE_HZ / rate_hz * tract).limit_denominator(100)
    return resample_poly(voice, ratio.numerator, ratio.denominator)


def trim(word: np.ndarray, threshold: float = 0.02) -> np.ndarray:
    """Without the quiet ends: what stays below `threshold` of the peak."""
    loud = np.flatnonzero(np.abs(word) > threshold * np.abs(word).max())
    return word[loud[0] : loud[-1] + 1] if len(loud) else word


def equalise(word: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone's frequency response: gains of ±6 dB (one sigma) at six points, straight lines between."""
    spectrum = np.fft.rfft(word)
    gain_db = np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, 6), rng.normal(0, 6, 6))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(word))


def band_limit(word: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Small microphones lose the lows, cheap converters and codecs the highs."""
    word = lfilter(*butter(1, rng.uniform(60, 250), "high", fs=RATE_HZ), word)
    return lfilter(*butter(2, rng.uniform(3000, 7600), fs=RATE_HZ), word) if rng.random() < 0.6 else word


def reverberate(word: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room: the direct sound, and noise that decays by 60 dB in 0.05 to 0.4 s (the reverberation time)."""
    length = int(rng.uniform(0.05, 0.4) * RATE_HZ)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= rng.uniform(0.1, 0.5) / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    return fftconvolve(word, tail)[: len(word) + length // 2]


def noise(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A second of background, float64 ``(16000,)``, root mean square 1."""
    white = rng.standard_normal(SAMPLES)
    if kind in ("pink", "brown"):  # power falls with f, and with f²
        hz = np.maximum(np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ), 1)
        sound = np.fft.irfft(np.fft.rfft(white) / hz ** (0.5 if kind == "pink" else 1), SAMPLES)
    elif kind == "hum":  # of the mains, with harmonics
        harmonics = np.arange(1, 8)[:, None]
        turns = rng.choice([50, 60, 100, 120]) * harmonics * np.arange(SAMPLES) / RATE_HZ
        sound = np.sum(np.sin(2 * np.pi * (turns + rng.random((7, 1)))) / harmonics, axis=0) + 0.05 * white
    elif kind == "band":
        low_hz = rng.uniform(100, 2500)
        sound = lfilter(*butter(2, [low_hz, min(7600, low_hz * rng.uniform(1.5, 4))], "band", fs=RATE_HZ), white)
    elif kind == "babble":  # voices far away: the band of speech, its loudness wandering
        slow = np.abs(lfilter([1], [1, -0.9995], rng.standard_normal(SAMPLES))) / 50
        sound = lfilter(*butter(2, [200, 3000], "band", fs=RATE_HZ), white) * (0.3 + slow)
    else:
        sound = white
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-9)


def to_int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)
