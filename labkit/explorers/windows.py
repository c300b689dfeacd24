"""Window, hop and channels: how a stream from a sensor becomes examples, how well they are told apart, what they cost to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection

from labkit.course.style import GHOST, MEASURED, OTHER, OURS
from labkit.data import motion
from labkit.data.motion_sources import Recording
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.gauge import BarGauge
from labkit.explorers.picture import Picture
from labkit.explorers.units import memory, quantity
from labkit.workload import Workload

TABLE = Path(__file__).parent / "tables" / "windows.json"
COMMAND = "labkit train windows-table"
RATE_HZ = 50
CHANNELS = {"acc": slice(0, 3), "gyro": slice(3, 6), "both": slice(0, 6)}
SAMPLE_BYTES = 2  # a sensor delivers 16-bit integers
SHOWN_S = 16  # seconds of the recording in the picture
GAP_S = 0.06  # a bar ends early, so that it stands apart from the next one
ROWS = 4  # windows that overlap at the smallest hop
WINDOWS = (32, 64, 128, 256)


def measured(path: Path = TABLE) -> dict[tuple[int, float, str], dict]:
    """The table of accuracies by (window, hop, channels); empty when it has not been computed yet."""
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    return {(entry["window"], entry["hop"], entry["channels"]): entry for entry in entries}


@cache
def one_of_each(name: str = "watch") -> tuple[Recording, ...]:
    """The first recording of each exercise."""
    first = {}
    for recording in motion.recordings(name):
        first.setdefault(recording.label, recording)
    return tuple(first.values())


def short(name: str) -> str:
    """The part of a recording's name that tells it from the others.

    >>> short("recording 0: subject 07, pendulum")
    'subject 07, pendulum'
    """
    return name.split(": ")[-1]


@dataclass(frozen=True, eq=False)
class WindowResult:
    """Where the windows lie in the recording, the network for one of them, and what the table says about accuracy."""

    source: tuple[str, str]  # recording and channels
    signal: np.ndarray  # (channels, samples)
    starts: np.ndarray  # first sample of each window
    window: int
    hop: int
    workload: Workload
    accuracy: dict | None  # the row of the table
    curve: list[dict]  # the rows of the table at the same hop (as a share of the window) and channels, by window

    @property
    def sensors(self) -> tuple[np.ndarray, np.ndarray]:
        """Accelerometer and gyroscope, ``(3, samples)`` each; without samples where the sensor is not used."""
        empty = np.zeros((3, 0))
        used = CHANNELS[self.source[1]]
        return (self.signal[:3] if used.start == 0 else empty, self.signal[-3:] if used.stop == 6 else empty)

    @property
    def per_second(self) -> float:
        return RATE_HZ / self.hop

    @property
    def buffer_bytes(self) -> int:
        """The samples of one window, kept until it is full."""
        return len(self.signal) * self.window * SAMPLE_BYTES

    @property
    def ram_bytes(self) -> int:
        return self.buffer_bytes + self.workload.peak_activation_bytes

    @property
    def unused(self) -> int:
        """Samples at the end that no window holds."""
        return self.signal.shape[1] - (int(self.starts[-1]) + self.window if len(self.starts) else 0)


class WindowExplorer(Explorer):
    """`windows` is a function of (recording, window, hop) like `labkit.data.motion.windows`, which is the default; a lab passes
    the student's own. It is asked to cut a recording of sample numbers, so the picture shows where its windows really lie.

    `recordings` are `labkit.data.motion_sources.Recording`s with the channels acc_x, y, z, gyro_x, y, z at 50 Hz; by default
    one of each exercise of the watch. Accuracies come from a table that a recipe has measured.

    >>> noise = Recording("noise", np.zeros((6, 500)), 0, "01")
    >>> WindowExplorer(recordings=[noise], window=128, hop=0.5).result.starts.tolist()
    [0, 64, 128, 192, 256, 320]
    """

    recording = Setting(None, "recording", lambda explorer: explorer.recordings, control="menu", show=short)
    window = Setting(128, "window", WINDOWS, show=lambda window: f"{window / RATE_HZ:.2f} s")
    hop = Setting(0.5, "hop", (0.25, 0.5, 1.0), show="{:.0%}".format)
    channels = Setting("both", "channels", CHANNELS, control="menu")

    def __init__(
        self, windows: Callable = motion.windows, recordings: Sequence[Recording] | None = None, table: Path = TABLE, **settings
    ):
        self.cut, self.table = windows, measured(table)
        self.recordings = {recording.name: recording for recording in recordings or one_of_each()}
        super().__init__(**{"recording": next(iter(self.recordings)), **settings})

    def compute(self) -> WindowResult:
        signal = self.recordings[self.recording].signal[CHANNELS[self.channels]]
        hop = round(self.hop * self.window)
        numbers = np.tile(np.arange(signal.shape[1], dtype=float), (len(signal), 1))
        cut = np.asarray(call(self.cut, numbers, self.window, hop))
        if cut.ndim != 3 or cut.shape[1:] != (len(signal), self.window):
            raise ValueError(f"the windows have shape {cut.shape}; return (windows, {len(signal)} channels, {self.window} samples)")
        return WindowResult(
            source=(self.recording, self.channels),
            signal=signal,
            starts=cut[:, 0, 0].astype(int),
            window=self.window,
            hop=hop,
            workload=families.har_cnn(samples=self.window, channels=len(signal)),
            accuracy=self.table.get((self.window, hop, self.channels)),
            curve=[row for window in WINDOWS if (row := self.table.get((window, round(self.hop * window), self.channels)))],
        )

    def say(self) -> str:
        r = self.result
        text = f"{len(r.starts)} windows, {r.per_second:.2g} decisions a second, {r.unused} samples left over at the end. "
        if r.accuracy:
            return text + f"Accuracy: {r.accuracy['accuracy']:.1%} on unseen people, {r.accuracy['leaked']:.1%} on a random split."
        if not self.table:
            return text + f"Accuracy: not measured yet; run `{COMMAND}`."
        return text + "Accuracy: not measured for this setting."

    def rows(self, r: WindowResult) -> list[tuple[str, str]]:
        percent = {key: f"{r.accuracy[key]:.1%}" if r.accuracy else "–" for key in ("accuracy", "leaked")}
        return [
            ("unseen people", percent["accuracy"]),
            ("a random split", percent["leaked"]),
            ("samples", f"{r.window} × {len(r.signal)}"),
            ("windows", str(len(r.starts))),
            ("first answer after", f"{r.window / RATE_HZ:.2f} s"),
            ("an answer every", f"{r.hop / RATE_HZ:.2f} s"),
            ("buffer", memory(r.buffer_bytes)),
            ("network, RAM", memory(r.workload.peak_activation_bytes)),
            ("network, flash", memory(r.workload.weight_bytes)),
            ("work per second", quantity(r.workload.macs * r.per_second, "MAC")),
        ]

    def sources(self) -> tuple[str, ...]:
        row = self.result.accuracy
        if row is None:
            return ()
        return (
            f"Accuracy: {row['windows']:,} windows of {row['people']} people in three groups, each tested by a network that did "
            f"not see it; the band is the standard deviation over people ({row['spread']:.1%}). Computed by `{COMMAND}`.",
            "A random split: the same training, tested on a random third of the windows of everybody.",
        )

    def picture(self) -> WindowPicture:
        return WindowPicture()


class WindowPicture(Picture):
    """Left: the signals and the windows that cut them. Right: accuracy over the window's length, and memory."""

    size = (7.2, 4.4)
    alt = "The signals of a recording with its windows drawn as bars; measured accuracy over the window's length; memory."

    def build(self, figure):
        seconds = np.arange(SHOWN_S * RATE_HZ) / RATE_HZ
        self.lines, self.spans, self.source = [], [], None
        for row, title in enumerate(("accelerometer", "gyroscope")):
            axes = figure.add_axes((0.03, 0.715 - 0.265 * row, 0.55, 0.2), xlim=(0, SHOWN_S), ylim=(-1.05, 1.05))
            axes.set(xticks=[], yticks=[])
            axes.spines[["left", "bottom"]].set_visible(False)
            axes.set_title(title, fontsize=10, pad=2)
            self.spans += axes.fill([0], [0], color=OURS, alpha=0.35, lw=0)
            self.lines += [axes.plot(seconds, 0 * seconds, "-", color=MEASURED, lw=1, alpha=shade)[0] for shade in (1, 0.6, 0.35)]
        axes = figure.add_axes((0.03, 0.115, 0.55, 0.27), xlim=(0, SHOWN_S), ylim=(ROWS - 0.4, -0.6), yticks=[], xlabel="seconds")
        axes.spines["left"].set_visible(False)
        axes.set_title("windows, one bar each", fontsize=10, pad=2)
        self.windows = axes.add_collection(LineCollection([], colors=OURS, linewidths=6, capstyle="butt"), autolim=False)
        scores = figure.add_axes((0.695, 0.4, 0.275, 0.37), xlim=(26, 310), xscale="log", ylim=(0.5, 1))
        scores.set_xticks([32, 64, 128, 256], ["0.64", "1.28", "2.56", "5.12 s"])
        scores.minorticks_off()
        scores.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1], ["50%", "", "70%", "", "90%", ""])
        scores.tick_params(labelsize=9)
        scores.grid(True)
        (self.band,) = scores.fill([0], [0], color=MEASURED, alpha=0.13, lw=0)
        (self.honest,) = scores.plot([], [], "o-", color=MEASURED, ms=4, label="unseen people")
        (self.leaky,) = scores.plot([], [], "s--", color=OTHER, ms=4, label="a random split")
        (self.chosen,) = scores.plot([], [], "o", ms=10, mfc="none", mec=OURS, mew=2.5)
        (self.old,) = scores.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        scores.legend(title="accuracy on", alignment="left", loc="lower left", bbox_to_anchor=(-0.03, 1.02), borderpad=0)
        self.missing = scores.text(90, 0.75, "", ha="center", va="center", fontsize=10)
        ticks = {2**8: "256 B", 2**10: "1 KiB", 2**12: "4", 2**14: "16"}
        self.ram = BarGauge(figure, (0.695, 0.115, 0.275, 0.08), "RAM", ticks)
        return [
            *self.spans, self.windows, self.band, self.leaky, self.honest, self.old, self.chosen, self.missing,
            *self.ram.moving,
        ]  # fmt: skip

    def update(self, result: WindowResult, ghost: WindowResult | None) -> None:
        if result.source != self.source:
            self.source = result.source
            self._signals(result)
            self.redraw()
        starts = result.starts / RATE_HZ
        ends = starts + result.window / RATE_HZ - GAP_S
        rows = np.arange(len(ends)) % max(2, round(result.window / result.hop))  # those that overlap lie below each other
        for span, axes in zip(self.spans, result.sensors, strict=True):
            first = (starts[0], starts[0] + result.window / RATE_HZ) if len(starts) and axes.size else (0, 0)
            span.set_xy([(first[0], -1), (first[1], -1), (first[1], 1), (first[0], 1)])
        self.windows.set_segments(np.stack([starts, rows, ends, rows], axis=1).reshape(-1, 2, 2))
        length, accuracy, spread, leaked = (
            np.array([row[key] for row in result.curve]) for key in ("window", "accuracy", "spread", "leaked")
        )
        self.honest.set_data(length, accuracy)
        self.leaky.set_data(length, leaked)
        outline = np.concatenate([accuracy + spread, (accuracy - spread)[::-1]])
        self.band.set_xy(np.column_stack([np.concatenate([length, length[::-1]]), outline]) if len(length) else [(0, 0)])
        for circle, shown in ((self.chosen, result), (self.old, ghost)):
            row = shown and shown.accuracy
            circle.set_data(([shown.window], [row["accuracy"]]) if row else ([], []))
        self.missing.set_text("" if result.accuracy else "not measured")
        self.ram.set(result.ram_bytes, ghost and ghost.ram_bytes, memory(result.ram_bytes))

    def _signals(self, result: WindowResult) -> None:
        """Each sensor to its own scale; one that is not used stays empty. Only another recording changes this, no slider."""
        for row, axes in enumerate(result.sensors):
            for line, values in zip(self.lines[3 * row : 3 * row + 3], axes[:, : SHOWN_S * RATE_HZ], strict=True):
                line.set_data(np.arange(len(values)) / RATE_HZ, values / (np.abs(axes).max(initial=0) or 1))
