"""Window, hop and mel bands: what a keyword network gets to see, and what it costs to compute that on a microcontroller."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Rectangle

import labkit
from labkit.course.style import GHOST, MEASURED, OURS
from labkit.data import features as front_end
from labkit.data.features import FeatureConfig, log_mel, mfcc
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.gauge import BarGauge, PointGauge
from labkit.explorers.picture import Picture
from labkit.explorers.units import memory, quantity, span
from labkit.workload import Workload

STAGES = ("window", "fft", "power", "mel", "log", "dct")
COLOURS = colormaps["magma"]
PALE = "#A9CFE6"  # OURS, light enough for a waveform on top
FEATURE_BYTES = 2  # the network's input while it is collected: 16 bits, as `labkit.data.fixed_point` writes it


@cache
def boards() -> tuple[str, ...]:
    """The devices with a processor of their own for the front end: the Cortex-M boards."""
    return tuple(name for name in labkit.devices() if labkit.device(name).family.startswith("Cortex"))


@dataclass(frozen=True, eq=False)
class FeatureResult:
    """One clip, its features, and what the front end costs for a second of sound. `busy` is the share of the time it takes."""

    shown: str  # "log-mel" or "MFCC"
    clip: np.ndarray  # (samples,)
    features: np.ndarray  # (frames, bands or coefficients)
    config: FeatureConfig
    workload: Workload
    estimate: labkit.Estimate
    ram_bytes: int
    not_finite: int
    empty_bands: int

    @property
    def busy(self) -> float:
        return self.estimate.latency_ms.mid / 1000


class FeatureExplorer(Explorer):
    """`clips` is float or int16 audio ``(clips, samples)`` at 16 kHz, `labels` a name for each clip.

    `features` and `mfcc` are functions of (audio, config) like `labkit.data.features.log_mel` and `.mfcc`, which are the default:
    a lab passes the student's own. The cost is that of labkit's front end at the same settings.

    >>> explorer = FeatureExplorer(np.zeros((1, 16000)), ["silence"], n_mels=20)
    >>> explorer.result.features.shape, explorer.result.workload.macs
    ((49, 20), 299684)
    """

    clip = Setting(None, "clip", lambda explorer: explorer.names, control="menu")
    show = Setting("log-mel", "show", ("log-mel", "MFCC"), control="menu")
    window_ms = Setting(30, "window", (10, 16, 20, 25, 30, 32, 40, 50, 64), show="{} ms".format)
    hop_ms = Setting(20, "hop", (5, 8, 10, 12, 16, 20, 25, 30, 40, 50), show="{} ms".format)
    n_mels = Setting(40, "mel bands", (8, 10, 12, 16, 20, 24, 32, 40, 64, 80))
    n_mfcc = Setting(10, "coefficients", (6, 8, 10, 13, 16, 20, 30, 40))
    board = Setting("nucleo-l4r5zi", "board", lambda explorer: boards(), control="menu")

    def __init__(self, clips: np.ndarray, labels: Sequence, features: Callable = log_mel, mfcc: Callable = mfcc, **settings):
        self.clips, self.functions = clips, {"log-mel": features, "MFCC": mfcc}
        self.names = tuple(f"{i}: {label}" for i, label in enumerate(labels))
        if len(clips) != len(labels) or not len(clips):
            raise ValueError(f"{len(clips)} clips and {len(labels)} labels; give one label for each clip, and at least one clip")
        super().__init__(**{"clip": self.names[0], **settings})

    def compute(self) -> FeatureResult:
        clip = np.asarray(self.clips[self.names.index(self.clip)])
        n_fft = max(64, 1 << (round(16 * self.window_ms) - 1).bit_length())  # the shortest FFT that holds a window, at 16 kHz
        config = FeatureConfig(
            window_ms=self.window_ms, hop_ms=self.hop_ms, n_fft=n_fft, n_mels=self.n_mels,
            n_mfcc=self.n_mfcc if self.show == "MFCC" else self.n_mels,
        )  # fmt: skip
        features = np.asarray(call(self.functions[self.show], clip[None], config))
        if features.ndim != 3 or len(features) != 1:
            raise ValueError(f"the features of one clip have shape {features.shape}; return (clips, frames, bands), here (1, …, …)")
        workload = front_end.workload(config)
        if self.show == "log-mel":
            workload = dataclasses.replace(workload, layers=workload.layers[:-1])  # no cosine transform
        one_frame = front_end.workload(config, seconds=self.window_ms / 1000)
        return FeatureResult(
            shown=self.show,
            clip=clip,
            features=features[0],
            config=config,
            workload=workload,
            estimate=labkit.device(self.board).estimate(workload),
            ram_bytes=one_frame.peak_activation_bytes + FEATURE_BYTES * features.size,
            not_finite=int((~np.isfinite(features)).sum()),
            empty_bands=int((front_end.mel_filters(config).sum(axis=0) == 0).sum()),
        )

    @property
    def fits(self) -> bool:
        return not self.problem and self.result.busy <= 1

    def say(self) -> str:
        r = self.result
        frames, bands = r.features.shape
        text = f"{frames} frames × {bands} = {frames * bands:,} numbers for the network. "
        cost = f"{quantity(r.estimate.latency_ms.mid / 1e3, 's')} of work for a second of sound on {self.board}"
        text += f"{cost}, {r.busy:.1%} of the time." if self.fits else f"Too slow: {cost}."
        if r.not_finite:
            text += f" {r.not_finite} of the numbers are not finite: a logarithm of 0?"
        if r.empty_bands:
            text += f" {r.empty_bands} bands are narrower than a bin of the FFT and stay empty."
        if self.hop_ms > self.window_ms:
            text += f" {self.hop_ms - self.window_ms} ms between two windows are never heard."
        return text

    def rows(self, r: FeatureResult) -> list[tuple[str, str]]:
        frames, bands = r.features.shape
        latency, energy = r.estimate.latency_ms * 1e-3, r.estimate.energy_uj * 1e-6
        return [
            ("frames × bands", f"{frames} × {bands}"),
            ("FFT", f"{r.config.n_fft} points"),
            ("work per second", quantity(r.workload.macs, "MAC")),
            ("time per second", quantity(latency.mid, "s")),
            ("80% interval", span(latency.low, latency.high, "s")),
            ("energy per second", quantity(energy.mid, "J")),
            ("RAM", memory(r.ram_bytes)),
            ("RAM of the board", memory(labkit.device(r.estimate.device).ram_bytes)),
        ]

    def sources(self) -> tuple[str, ...]:
        return self.result.estimate.provenance

    def picture(self) -> FeaturePicture:
        return FeaturePicture(seconds=self.clips.shape[1] / FeatureConfig.rate_hz)


class FeaturePicture(Picture):
    """Left: the clip with two neighbouring windows, and its features. Right: where the time goes, and memory."""

    size = (7.2, 4.4)
    alt = "The clip as a waveform and as features over time; time of each stage of the front end, total time, and memory."

    def __init__(self, seconds: float):
        self.seconds = seconds
        super().__init__()

    def build(self, figure):
        wave = figure.add_axes((0.085, 0.79, 0.535, 0.16), xlim=(0, self.seconds), ylim=(-1, 1), xticks=[], yticks=[])
        wave.spines[["left", "bottom"]].set_visible(False)
        wave.set_title("one clip, and two neighbouring windows", fontsize=10, pad=3)
        self.first = wave.add_patch(Rectangle((0, -1), 0, 2, color=PALE, lw=0))
        (self.wave,) = wave.fill([0], [0], color=MEASURED, lw=0.5)
        self.second = wave.add_patch(Rectangle((0, -1), 0, 2, fill=False, ec=OURS, lw=2, clip_on=False))
        self.axes = figure.add_axes((0.085, 0.115, 0.535, 0.575), xlim=(0, self.seconds), ylim=(0, 1), xlabel="seconds", yticks=[])
        self.axes.set_autoscale_on(False)
        self.image = self.axes.imshow(np.zeros((2, 2)), aspect="auto", origin="lower", extent=(0, 1, 0, 1))
        self.axes.spines[["left", "bottom"]].set_visible(False)
        place = {"transform": self.axes.transAxes, "fontsize": 10}
        self.title = self.axes.text(0, 1.02, "", va="bottom", **place)
        self.low = self.axes.text(-0.015, 0, "", ha="right", va="bottom", **place)
        self.high = self.axes.text(-0.015, 1, "", ha="right", va="top", **place)
        bars = figure.add_axes((0.715, 0.56, 0.245, 0.36), xscale="log", xlim=(0.01, 1000), ylim=(len(STAGES) - 0.5, -0.5))
        bars.set_title("where the time goes", fontsize=10, pad=6)
        bars.set_xticks([0.01, 1, 100], ["0.01", "1 ms", "100"])
        bars.set_yticks(range(len(STAGES)), ["window", "FFT", "power", "mel", "log", "DCT"])
        bars.tick_params(labelsize=9, length=0)
        bars.minorticks_off()
        self.bars = list(bars.barh(range(len(STAGES)), 1, left=0.01, height=0.62, color=OURS))
        (self.ghosts,) = bars.plot([], [], "|", ms=13, mew=2.5, color=GHOST, clip_on=False)
        seconds = {1e-3: "1 ms", 1e-2: "10", 1e-1: "100", 1: "1 s", 10: "10"}
        self.time = PointGauge(figure, (0.715, 0.345, 0.245, 0.07), "time for 1 s", seconds)
        bytes_ = {2**10: "1 KiB", 2**14: "16", 2**18: "256", 2**22: "4 MiB"}
        self.ram = BarGauge(figure, (0.715, 0.115, 0.245, 0.07), "RAM", bytes_)
        return [
            self.first, self.wave, self.second, self.image, self.title, self.low, self.high, *self.bars, self.ghosts,
            *self.time.moving, *self.ram.moving,
        ]  # fmt: skip

    def update(self, result: FeatureResult, ghost: FeatureResult | None) -> None:
        self._clip(result)
        self._features(result)
        stages = {layer.op: layer.latency_ms for layer in result.estimate.layers}
        for bar, stage in zip(self.bars, STAGES, strict=True):
            bar.set_width(max(stages.get(stage, 0) - 0.01, 0))
        before = {layer.op: layer.latency_ms for layer in ghost.estimate.layers} if ghost else {}
        marks = [(min(before[stage], 1000), i) for i, stage in enumerate(STAGES) if stage in before]
        self.ghosts.set_data([x for x, _ in marks], [y for _, y in marks])
        latency = result.estimate.latency_ms * 1e-3
        self.time.set(latency, ghost and ghost.busy, quantity(latency.mid, "s"), limit=1)
        board = labkit.device(result.estimate.device)
        self.ram.set(result.ram_bytes, ghost and ghost.ram_bytes, memory(result.ram_bytes), board.ram_bytes)

    def _clip(self, result: FeatureResult) -> None:
        """The waveform as its extremes in 400 slices, and the windows around its loudest sample."""
        clip = result.clip / (np.abs(result.clip.astype(float)).max() or 1)
        slices = clip[: len(clip) // 400 * 400].reshape(400, -1)
        times = np.linspace(0, self.seconds, 400)
        outline = np.concatenate([slices.max(axis=1), slices.min(axis=1)[::-1]])
        self.wave.set_xy(np.column_stack([np.concatenate([times, times[::-1]]), outline]))
        window, hop, rate = result.config.window, result.config.hop, result.config.rate_hz
        loudest = min(max(int(np.abs(clip).argmax()) - window // 2, 0) // hop, max(len(result.features) - 2, 0))
        for rectangle, frame in ((self.first, loudest), (self.second, loudest + 1)):
            rectangle.set_x(frame * hop / rate)
            rectangle.set_width(window / rate)

    def _features(self, result: FeatureResult) -> None:
        frames, bands = result.features.shape
        hop, half = result.config.hop_ms / 1000, result.config.window_ms / 2000
        cepstrum = result.shown == "MFCC"
        # coefficient 0, the loudness, is so much larger than the others that it would be all one sees
        shown = result.features - result.features.mean(axis=0) if cepstrum and not result.not_finite else result.features
        finite = np.isfinite(shown)
        low, high = shown.min(where=finite, initial=np.inf), shown.max(where=finite, initial=-np.inf)
        shade = (np.where(finite, shown, low) - low) / (high - low or 1) if finite.any() else np.zeros(shown.shape)
        self.image.set_data(COLOURS(shade.T, bytes=True))  # coloured here: matplotlib would colour every pixel, not every number
        self.image.set_extent((half - hop / 2, half + (frames - 0.5) * hop, 0, 1))  # each frame around the middle of its window
        self.title.set_text(f"{frames} frames × {bands} {'coefficients, each less its mean' if cepstrum else 'mel bands'}")
        self.low.set_text("0" if cepstrum else f"{result.config.low_hz:g} Hz")
        self.high.set_text(f"{bands - 1}" if cepstrum else f"{result.config.high_hz / 1000:g} kHz")
