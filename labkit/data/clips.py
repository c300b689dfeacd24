"""Audio clips that stay on disk until they are looked at.

The full Speech Commands set is 6 GB as floats, so a data set holds `Clips` instead of an array: index it like an array and
the clips asked for are read, brought to one rate and one length, and returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000
SAMPLES = 16000  # one second: the length of a Speech Commands clip (Warden 2018, arXiv:1804.03209)


class Clips:
    """`n` mono clips of equal length, float32 in [-1, 1], read when indexed.

    An integer gives one clip ``(samples,)``; a slice, a list or a mask gives ``(n, samples)``. `only` picks without reading.

    >>> clips = Clips.from_pcm(np.array([[0, 16384], [-32768, 0], [8192, 0]], dtype=np.int16))
    >>> len(clips), clips.shape, clips[1].tolist(), clips[[0, 2]].tolist()
    (3, (3, 2), [-1.0, 0.0], [[0.0, 0.5], [0.25, 0.0]])
    >>> len(clips.only([True, False, True]))
    2
    """

    dtype = np.dtype(np.float32)

    def __init__(self, items: np.ndarray, read: Callable[[object], np.ndarray], samples: int):
        self.items = items
        self.samples = samples
        self._read = read

    @classmethod
    def from_files(cls, files: Sequence[str | Path], rate_hz: int = RATE_HZ, samples: int = SAMPLES) -> Clips:
        """Clips of audio files in any format libsndfile knows; see `read_clip` for what is done to odd ones."""
        items = np.array([str(file) for file in files], dtype=object)
        return cls(items, lambda file: read_clip(file, rate_hz, samples), samples)

    @classmethod
    def from_pcm(cls, pcm: np.ndarray) -> Clips:
        """Clips of an int16 array ``(clips, samples)``, kept as int16: half the memory of floats."""
        return cls(pcm, lambda row: row.astype(np.float32) / 32768, pcm.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.items), self.samples

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index) -> np.ndarray:
        if isinstance(index, (int, np.integer)):
            return self._read(self.items[index])
        picked = self.items[index]
        audio = np.empty((len(picked), self.samples), dtype=np.float32)
        for row, item in zip(audio, picked, strict=True):
            row[:] = self._read(item)
        return audio

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def only(self, index) -> Clips:
        """The same clips, fewer of them; reads nothing."""
        return Clips(self.items[index], self._read, self.samples)

    def __repr__(self) -> str:
        return f"Clips({len(self)} of {self.samples} samples, read when indexed)"


def read_clip(file: str | Path, rate_hz: int = RATE_HZ, samples: int = SAMPLES) -> np.ndarray:
    """One audio file as mono float32 ``(samples,)`` at `rate_hz`.

    Channels are averaged, another rate is resampled, a short recording gets zeros behind it, of a long one the loudest
    stretch is kept. Raises ValueError naming the file when it is empty or cannot be read.
    """
    try:
        audio, file_rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"{file} cannot be read as audio ({error}); record or download it again") from None
    if len(audio) == 0:
        raise ValueError(f"{file} is empty; record it again")
    if not np.isfinite(audio).all():
        raise ValueError(f"{file} has samples that are not numbers; record or export it again")
    mono = audio.mean(axis=1) if audio.shape[1] > 1 else audio[:, 0]
    return np.clip(fit_length(resample(mono, file_rate_hz, rate_hz), samples), -1, 1)  # a float file may be louder than full scale


def resample(audio: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Changes the rate of ``(samples,)`` with a polyphase anti-aliasing filter.

    >>> resample(np.ones(480, dtype=np.float32), 48000, 16000).shape
    (160,)
    """
    if from_hz == to_hz:
        return audio
    from scipy.signal import resample_poly  # here, because importing it takes seconds and few recordings need it

    ratio = Fraction(int(to_hz), int(from_hz))
    return resample_poly(audio, ratio.numerator, ratio.denominator).astype(np.float32)


def fit_length(audio: np.ndarray, samples: int) -> np.ndarray:
    """Zeros behind a short recording; the stretch with the most energy of a long one.

    >>> fit_length(np.array([1.0, 2.0]), 3).tolist(), fit_length(np.array([0.0, 1.0, 3.0, 0.0]), 2).tolist()
    ([1.0, 2.0, 0.0], [1.0, 3.0])
    """
    if len(audio) <= samples:
        return np.pad(audio, (0, samples - len(audio)))
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[samples:] - energy[:-samples]))
    return audio[start : start + samples]
