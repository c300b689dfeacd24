"""A model of an analog front end: from sound to a picture of one-bit pixels, without an analog-to-digital converter or an FFT.

    band-pass filters → rectifier → integrator, emptied every 20 ms → comparators

Cerutti et al. (arXiv:2201.03386) put such a front end before a binary network and report 29 times less energy for acquisition and
preprocessing. We know their circuit by the abstract only. **This one is ours, a stand-in**: the filters, their number, what the
comparators compare with, and every setting below were chosen here, on the validation people of the real keyword clips.

What a fixed threshold would say depends on how loud somebody speaks. Both comparators of a band compare with other sound instead:

* *contrast*: with the mean of all bands now. Is this band part of what is being said?
* *level*: with that mean as a slow integrator remembers it. Is anything being said?
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.signal

from labkit.data.clips import Clips
from labkit.data.features import hz_to_mel, mel_to_hz

BATCH = 50  # clips at a time


@dataclass(frozen=True)
class AnalogFrontEnd:
    """The settings. `tilt` is the exponent of the gain (f / 1 kHz)^tilt that makes up for the falling spectrum of speech.

    `offset` is what a band must exceed its reference by (full scale is 1), so that a circuit's noise is no sound. `memory_ms` is
    the time constant of the slow integrator.

    >>> front_end = AnalogFrontEnd()
    >>> front_end.samples_per_frame, front_end.corners_hz[[0, -1]].round().tolist()
    (320, [100.0, 6000.0])
    """

    rate_hz: int = 16000
    bands: int = 32
    low_hz: float = 100
    high_hz: float = 6000
    frame_ms: float = 20
    tilt: float = 0.5
    offset: float = 1e-4
    memory_ms: float = 1000

    def __post_init__(self):
        if self.bands < 1 or self.samples_per_frame < 1:
            raise ValueError(
                f"{self.bands} bands and frames of {self.frame_ms} ms hold nothing; give 1 band or more, longer frames"
            )
        if not 0 < self.low_hz < self.high_hz < self.rate_hz / 2:
            raise ValueError(
                f"bands from {self.low_hz} to {self.high_hz} Hz; they must rise, from above 0 to below {self.rate_hz / 2:g}"
            )
        if not self.memory_ms >= self.frame_ms:
            raise ValueError(f"a memory of {self.memory_ms} ms is shorter than a frame of {self.frame_ms} ms; lengthen it")

    @property
    def samples_per_frame(self) -> int:
        return round(self.rate_hz * self.frame_ms / 1000)

    @cached_property
    def corners_hz(self) -> np.ndarray:
        """Where the bands meet, equally far apart in mel, ``(bands + 1,)``."""
        return mel_to_hz(np.linspace(hz_to_mel(self.low_hz), hz_to_mel(self.high_hz), self.bands + 1))

    @cached_property
    def filters(self) -> list[np.ndarray]:
        """One resonance for each band: a Butterworth band-pass of order 2, as a resistor, a coil and a capacitor make it."""
        pairs = zip(self.corners_hz[:-1], self.corners_hz[1:], strict=True)
        made = (scipy.signal.butter(1, pair, "bandpass", fs=self.rate_hz, output="sos") for pair in pairs)
        return [sections.astype(np.float32) for sections in made]

    @cached_property
    def gains(self) -> np.ndarray:
        """(middle of the band / 1 kHz)^tilt, ``(bands,)``."""
        return (np.sqrt(self.corners_hz[:-1] * self.corners_hz[1:]) / 1000) ** self.tilt


def envelopes(audio: np.ndarray | Clips, front_end: AnalogFrontEnd | None = None) -> np.ndarray:
    """What the integrators hold at the end of each frame, float32 ``(clips, frames, bands)``: the mean of the rectified band.

    `audio` is ``(clips, samples)``, float in [-1, 1] or int16. About 4 ms a clip. Raises ValueError where not even one frame fits.

    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)[None]
    >>> loudest = envelopes(tone)[0, 25].argmax()
    >>> AnalogFrontEnd().corners_hz[loudest : loudest + 2].round().tolist()
    [961.0, 1075.0]
    """
    front_end = front_end or AnalogFrontEnd()
    size = front_end.samples_per_frame
    if len(audio.shape) != 2 or audio.shape[1] < size:
        raise ValueError(f"audio has shape {audio.shape}; give (clips, samples), with {size} samples or more, one frame")
    frames = audio.shape[1] // size
    held = np.empty((len(audio), frames, front_end.bands), dtype=np.float32)
    for start in range(0, len(audio), BATCH):
        part = _as_float(np.asarray(audio[start : start + BATCH]))[:, : frames * size]
        for band, sections in enumerate(front_end.filters):
            rectified = np.abs(scipy.signal.sosfilt(sections, part, axis=1))
            held[start : start + BATCH, :, band] = rectified.reshape(len(part), frames, size).mean(axis=2)
    return held


def compare(held: np.ndarray, front_end: AnalogFrontEnd | None = None) -> np.ndarray:
    """The two comparators of every band, int8 ±1 ``(clips, 2, frames, bands)``: contrast, level.

    >>> pixels = compare(np.array([[[0.1, 0.1], [0.1, 0.9]]]), AnalogFrontEnd(bands=2, low_hz=500, high_hz=2000, tilt=0.0))
    >>> pixels[0].tolist()              # a second frame with a loud upper band
    [[[-1, -1], [-1, 1]], [[-1, -1], [-1, 1]]]
    """
    front_end = front_end or AnalogFrontEnd()
    levels = held * front_end.gains
    now = levels.mean(axis=2, keepdims=True)
    references = (now, slow_average(now, front_end))
    return np.stack([np.where(levels > r + front_end.offset, 1, -1) for r in references], axis=1).astype(np.int8)


def slow_average(level: np.ndarray, front_end: AnalogFrontEnd) -> np.ndarray:
    """r_t = r_{t-1} + (level_t − r_{t-1}) · frame / memory along axis 1: a capacitor that a resistor charges. r starts at level_0.

    >>> slow_average(np.array([[0.0, 1.0, 1.0]]), AnalogFrontEnd(memory_ms=40)).tolist()
    [[0.0, 0.5, 0.75]]
    """
    step = front_end.frame_ms / front_end.memory_ms
    start = (1 - step) * level[:, :1]
    return scipy.signal.lfilter([step], [1, step - 1], level, axis=1, zi=start)[0]


def binary_features(audio: np.ndarray | Clips, front_end: AnalogFrontEnd | None = None) -> np.ndarray:
    """Pictures of ±1, int8 ``(clips, 2, frames, bands)``, of audio ``(clips, samples)``; errors as for `envelopes`.

    >>> binary_features(np.zeros((1, 16000), dtype=np.float32)).shape
    (1, 2, 50, 32)
    """
    return compare(envelopes(audio, front_end), front_end)


def _as_float(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32) / 32768 if audio.dtype == np.int16 else audio.astype(np.float32, copy=False)
