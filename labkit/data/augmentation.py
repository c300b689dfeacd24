"""New voices from old ones: what a recording would have been with another speaker, in another place, at another distance.

Each function changes a batch of clips ``(clips, samples)``, float32 in [-1, 1], with a random strength for every clip; the word
stays. Changing the sound, and not the features, keeps the examples possible ones (Ko et al., Interspeech 2015; 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE_HZ = 16000


@dataclass(frozen=True)
class Augmentation:
    """How strong each change is; 0 leaves it out. `noises` are recordings ``(n, samples)``, int16 or float, to be mixed in.

    >>> augment = Augmentation(noises=np.zeros((1, 8)))
    >>> augment(np.zeros((2, 8), dtype=np.float32), np.random.default_rng(0)).shape
    (2, 8)
    """

    noises: np.ndarray
    speed: float = 0.15
    shift_ms: float = 100
    noise: float = 0.7  # share of the clips that get noise
    snr_db: tuple[float, float] = (0, 40)
    gain_db: float = 10

    def __call__(self, clips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clips = speed_and_shift(clips, self.speed, self.shift_ms, rng)
        chosen = rng.random(len(clips)) < self.noise
        clips[chosen] = add_noise(clips[chosen], self.noises, self.snr_db, rng)
        gain_db = rng.uniform(-self.gain_db, self.gain_db, (len(clips), 1)).astype(np.float32)
        return np.clip(clips * 10 ** (gain_db / 20), -1, 1)


def speed_and_shift(clips: np.ndarray, speed: float, shift_ms: float, rng: np.random.Generator) -> np.ndarray:
    """Plays each clip faster or slower by a factor up to ``1 + speed``, and earlier or later by up to `shift_ms`.

    Speed changes pitch and formants with it, as a shorter vocal tract does: the cheapest way to another voice. Linear
    interpolation; what is played from outside the clip is silence.

    >>> x = np.array([[0.0, 1.0, 2.0, 3.0]], dtype=np.float32)
    >>> speed_and_shift(x, 0, 0, np.random.default_rng(0)).tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """
    n = clips.shape[1]
    centre, time = (n - 1) / 2, np.arange(n)
    factor = (1 + speed) ** rng.uniform(-1, 1, len(clips))
    shift = rng.uniform(-1, 1, len(clips)) * shift_ms * RATE_HZ / 1000
    played = np.empty_like(clips)
    for row, clip, f, s in zip(played, clips, factor, shift, strict=True):
        row[:] = np.interp((time - centre - s) * f + centre, time, clip, left=0, right=0)
    return played


def add_noise(clips: np.ndarray, noises: np.ndarray, snr_db: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Mixes a random stretch of a random recording into each clip, `snr_db` (from, to) below the clip.

    >>> x = np.ones((1, 1000), dtype=np.float32)
    >>> louder = add_noise(x, np.random.default_rng(0).normal(size=(3, 1000)), (20, 20), np.random.default_rng(0))
    >>> round(float(((louder - x) ** 2).mean()), 3)  # 20 dB below 1
    0.01
    """
    noise = noises[rng.integers(len(noises), size=len(clips))].astype(np.float32)
    noise = np.roll(noise, int(rng.integers(noise.shape[1])), axis=1)
    snr = rng.uniform(*snr_db, (len(clips), 1))
    scale = loudness(clips) / loudness(noise) * 10 ** (-snr / 20)
    return clips + noise * scale.astype(np.float32)


def loudness(clips: np.ndarray) -> np.ndarray:
    """Root mean square ``(clips, 1)``, with a floor so that digital silence can be divided by."""
    return np.sqrt(np.mean(clips**2, axis=1, keepdims=True)) + 1e-5
