"""From sound to the small picture that a keyword network looks at: framing, spectrum, mel bands, logarithm, cosine transform.

Every step is written out in numpy (only the FFT is scipy's, which transforms several frames at once). It equals torchaudio
(`mfcc_torchaudio`, a second implementation by other people) and, to within a stated rounding, what a microcontroller computes in
integers (`labkit.data.fixed_point`).

Choices, since each toolkit makes other ones: frames of `window_ms` without padding (49 for one second), periodic Hann window,
**power** spectrum, triangles on the HTK mel scale with straight sides in Hz and height 1, natural logarithm of (energy + 1e-6),
orthonormal DCT-II. Ten coefficients of 40 bands up to 4 kHz is the front end of Zhang et al. 2017, arXiv:1711.07128.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import scipy.fft

from labkit.data.clips import Clips
from labkit.workload import INPUT, Layer, Workload

LOG_FLOOR = 1e-6  # about three steps of a 16-bit recorder, so that digital silence stays finite; torchaudio's value
BATCH = 16  # clips at a time: their frames stay in the processor's cache


@dataclass(frozen=True)
class FeatureConfig:
    """The front end's settings. Times in ms, frequencies in Hz, the rest are counts.

    >>> config = FeatureConfig()
    >>> config.window, config.hop, config.frames(16000), config.bins
    (480, 320, 49, 257)
    """

    rate_hz: int = 16000
    window_ms: float = 30
    hop_ms: float = 20
    n_fft: int = 512
    n_mels: int = 40
    low_hz: float = 20
    high_hz: float = 4000
    n_mfcc: int = 10

    def __post_init__(self):
        if self.rate_hz <= 0 or self.window < 2 or self.hop < 1:
            raise ValueError(f"{self.window_ms} ms window, {self.hop_ms} ms hop, {self.rate_hz} Hz hold no sample; lengthen them")
        if self.n_fft & (self.n_fft - 1) or self.n_fft < self.window:
            power = 1 << (self.window - 1).bit_length()
            raise ValueError(f"n_fft is {self.n_fft}; the window has {self.window} samples: give a power of two, {power} or more")
        if not 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise ValueError(f"bands from {self.low_hz} to {self.high_hz} Hz; they must rise, to {self.rate_hz / 2:g} Hz at most")
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise ValueError(f"n_mfcc is {self.n_mfcc}; give a number from 1 to n_mels = {self.n_mels}")

    @cached_property
    def window(self) -> int:
        """Samples in a frame."""
        return round(self.rate_hz * self.window_ms / 1000)

    @cached_property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.rate_hz * self.hop_ms / 1000)

    @property
    def bins(self) -> int:
        """Frequencies of the spectrum, 0 Hz and half the rate included."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Whole frames in `samples`. Raises ValueError when not even one fits."""
        if samples < self.window:
            raise ValueError(f"{samples} samples are shorter than one window of {self.window}; shorten the window")
        return 1 + (samples - self.window) // self.hop


def frame(audio: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """Overlapping frames ``(..., frames, window)`` of ``(..., samples)``: a view, nothing is copied.

    >>> frame(np.arange(5), FeatureConfig(rate_hz=1000, window_ms=3, hop_ms=2, n_fft=4, low_hz=0, high_hz=500)).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    config.frames(audio.shape[-1])
    return np.lib.stride_tricks.sliding_window_view(audio, config.window, axis=-1)[..., :: config.hop, :]


def hann(size: int) -> np.ndarray:
    """Periodic Hann window ``(size,)``: the form for spectra, without the second zero at the end.

    >>> hann(4).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def hz_to_mel(hz):
    """HTK mel scale: ``2595 log10(1 + f / 700)``, so that 1000 Hz is about 1000 mel."""
    return 2595 * np.log10(1 + np.asarray(hz) / 700)


def mel_to_hz(mel):
    """The inverse of `hz_to_mel`."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


@cache
def mel_filters(config: FeatureConfig) -> np.ndarray:
    """Triangles ``(bins, mels)``: band m rises from corner m to 1 at corner m + 1 and falls to 0 at corner m + 2.

    The corners are equally far apart in mel. A band narrower than a bin of the FFT can be all zeros: take fewer bands then.

    >>> mel_filters(FeatureConfig()).shape
    (257, 40)
    """
    hz = np.linspace(0, config.rate_hz / 2, config.bins)[:, None]
    corners = mel_to_hz(np.linspace(hz_to_mel(config.low_hz), hz_to_mel(config.high_hz), config.n_mels + 2))
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (hz - low) / (middle - low), (high - hz) / (high - middle)
    filters = np.maximum(0, np.minimum(rising, falling))
    filters.flags.writeable = False  # shared by every caller
    return filters


@cache
def dct_matrix(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Orthonormal DCT-II ``(mels, coefficients)``: row i, column k is ``s cos(π k (i + 1/2) / n)``, s² = 2/n, but 1/n for k = 0.

    >>> (dct_matrix(8, 8).T @ dct_matrix(8, 8)).round(6).tolist() == np.eye(8).tolist()
    True
    """
    i, k = np.arange(n_mels)[:, None], np.arange(n_mfcc)
    matrix = np.cos(np.pi * k * (i + 0.5) / n_mels) * np.sqrt(2 / n_mels)
    matrix[:, 0] /= np.sqrt(2)
    matrix.flags.writeable = False
    return matrix


def log_mel(audio: np.ndarray | Clips, config: FeatureConfig | None = None) -> np.ndarray:
    """Log energies in mel bands, float32 ``(clips, frames, mels)``, of ``(clips, samples)``: float in [-1, 1], int16, or `Clips`.

    One clip ``(samples,)`` gives ``(frames, mels)``. Raises ValueError when a clip is shorter than one window.

    >>> log_mel(np.zeros((2, 16000)))[0, 0, 0].round(3), log_mel(np.zeros((2, 16000))).shape
    (np.float32(-13.816), (2, 49, 40))
    """
    config = config or FeatureConfig()
    return _in_batches(audio, config, config.n_mels, lambda part: _log_mel(part, config))


def mfcc(audio: np.ndarray | Clips, config: FeatureConfig | None = None) -> np.ndarray:
    """Mel-frequency cepstral coefficients, float32 ``(clips, frames, coefficients)``; input and errors as for `log_mel`.

    The DCT of the log bands: coefficient 0 is the loudness, low ones the broad shape of the spectrum (the vowel), and the
    fine ridges of the voice's pitch lie in those that are cut off (Davis & Mermelstein 1980).

    >>> mfcc(np.zeros(16000)).shape, round(float(mfcc(np.zeros(16000))[0, 0]), 2)  # log(1e-6) · √40
    ((49, 10), -87.38)
    """
    config = config or FeatureConfig()
    transform = dct_matrix(config.n_mels, config.n_mfcc).astype(np.float32)
    return _in_batches(audio, config, config.n_mfcc, lambda part: _log_mel(part, config) @ transform)


def _log_mel(audio: np.ndarray, config: FeatureConfig) -> np.ndarray:
    frames = frame(audio, config)
    windowed = np.zeros((*frames.shape[:-1], config.n_fft), dtype=np.float32)
    np.multiply(frames, hann(config.window).astype(np.float32), out=windowed[..., : config.window])
    used = slice(0, int(np.ceil(config.high_hz * config.n_fft / config.rate_hz)))  # no triangle reaches higher bins
    spectrum = scipy.fft.rfft(windowed, overwrite_x=True)[..., used]
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(power @ mel_filters(config)[used].astype(np.float32) + np.float32(LOG_FLOOR))


def _in_batches(audio, config: FeatureConfig, channels: int, compute) -> np.ndarray:
    """Runs `compute` on a few clips at a time: the frames of a whole data set would be 30 times its size in memory."""
    if not isinstance(audio, Clips):
        audio = np.asarray(audio)
        if audio.ndim == 1:
            return compute(_as_float(audio))
        if audio.ndim != 2:
            raise ValueError(f"audio has shape {audio.shape}; give (samples,) or (clips, samples), one channel each")
    features = np.empty((len(audio), config.frames(audio.shape[1]), channels), dtype=np.float32)
    for start in range(0, len(audio), BATCH):
        features[start : start + BATCH] = compute(_as_float(audio[start : start + BATCH]))
    return features


def _as_float(audio: np.ndarray) -> np.ndarray:
    if audio.dtype == np.int16:
        return audio.astype(np.float32) / 32768
    if not np.issubdtype(audio.dtype, np.floating):
        raise ValueError(f"audio is {audio.dtype}; give float in [-1, 1], or int16 as a 16-bit recorder writes it")
    return audio.astype(np.float32, copy=False)


def mfcc_torchaudio(audio: np.ndarray, config: FeatureConfig | None = None) -> np.ndarray:
    """The same coefficients by ``torchaudio.transforms.MFCC``, float32 ``(clips, frames, coefficients)``.

    torch centres a short window inside the FFT's n_fft samples. Padding the clip by half the difference puts each frame on the
    samples it has here; the shift inside the FFT turns phases only, which the power spectrum does not see.
    """
    import torch  # here, because this file needs only numpy otherwise

    from labkit.audio import torchaudio

    config = config or FeatureConfig()
    transform = torchaudio().transforms.MFCC(
        sample_rate=config.rate_hz,
        n_mfcc=config.n_mfcc,
        norm="ortho",
        log_mels=True,
        melkwargs={
            "n_fft": config.n_fft,
            "win_length": config.window,
            "hop_length": config.hop,
            "f_min": config.low_hz,
            "f_max": config.high_hz,
            "n_mels": config.n_mels,
            "power": 2.0,
            "center": False,
            "norm": None,
            "mel_scale": "htk",
        },
    )
    before = (config.n_fft - config.window) // 2
    padding = (before, config.n_fft - config.window - before)
    with torch.no_grad():
        padded = torch.nn.functional.pad(torch.from_numpy(_as_float(np.asarray(audio))), padding)
        return transform(padded).transpose(-1, -2).contiguous().numpy()


def workload(config: FeatureConfig | None = None, seconds: float = 1.0) -> Workload:
    """What the MFCC of `seconds` of 16-bit audio cost, layer by layer, for `Workload.then(network)`.

    MACs are those of the whole recording; of what lies between its layers a device keeps one frame (`Workload.memory_profile`).

    >>> [(layer.op, layer.macs) for layer in workload().layers]
    [('window', 23520), ('fft', 225792), ('power', 25186), ('mel', 25186), ('log', 0), ('dct', 19600)]
    """
    config = config or FeatureConfig()
    samples = round(seconds * config.rate_hz)
    frames = config.frames(samples)
    steps = (  # operation, numbers per frame that it writes, bits of each in `labkit.data.fixed_point`
        ("window", config.window, 32),
        ("fft", config.bins, 64),  # a complex number: two of 32 bits
        ("power", config.bins, 64),
        ("mel", config.n_mels, 64),
        ("log", config.n_mels, 16),
        ("dct", config.n_mfcc, 16),
    )
    places = {"window": {"kernel": (config.window,), "stride": (config.hop,)}, "fft": {"kernel": (config.n_fft,)}}
    layers, source, shape = [], INPUT, (1, samples)
    for op, channels, bits in steps:
        layers.append(Layer(op, op, (source,), shape, (channels, frames), activation_bits=bits, **places.get(op, {})))
        source, shape = op, (channels, frames)
    return Workload("mfcc", (1, samples), tuple(layers), input_bits=16)
