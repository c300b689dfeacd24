"""The drawing of the quantization explorer."""

from __future__ import annotations

import numpy as np

from labkit.course.style import GHOST, MEASURED, OURS
from labkit.explorers.gauge import BarGauge, PointGauge
from labkit.explorers.picture import Picture
from labkit.explorers.quantization import BITS, QuantizationResult, Rounded
from labkit.explorers.units import memory, quantity

BINS = 120
ROWS, COLUMNS = 12, 240  # of the map
PAPER, MARK, NUMBER = (255, 255, 255, 255), (0, 114, 178, 255), (0, 0, 0, 255)  # colours of the map, RGBA: white, blue, black


class Histogram:
    """How often numbers occur, before (black outline) and after they were rounded (blue), on a logarithmic scale."""

    def __init__(self, figure, place: tuple[float, float, float, float], title: str):
        self.axes = figure.add_axes(place, yscale="log", yticks=[])
        self.axes.minorticks_off()
        self.axes.tick_params(labelsize=9, length=3)
        self.axes.spines["left"].set_visible(False)
        self.axes.set_title(title, fontsize=10, pad=3)
        (self.after,) = self.axes.fill([0], [1], color=OURS, lw=0)
        (self.before,) = self.axes.plot([], [], color=MEASURED, lw=1.2)
        self.text = self.axes.set_title("", loc="right", fontsize=10, pad=3, weight="bold")
        self.moving = [self.after, self.before, self.text]

    def scale(self, numbers: Rounded) -> None:
        """Fits the axes to the numbers before rounding. Only another layer changes them."""
        low, high = numbers.x.min(), numbers.x.max()
        room = 0.04 * (high - low)
        self.edges = np.linspace(low - room, high + room, BINS + 1)
        counts = self._count(numbers.x, numbers)
        self.axes.set(xlim=(self.edges[0], self.edges[-1]), ylim=(0.5, 1.2 * numbers.counts.sum()))
        self.before.set_data(np.repeat(self.edges, 2)[1:-1], np.repeat(np.maximum(counts, 0.1), 2))

    def set(self, numbers: Rounded, text: str) -> None:
        counts = np.maximum(self._count(numbers.back, numbers), 0.1)
        x, y = np.repeat(self.edges, 2)[1:-1], np.repeat(counts, 2)
        self.after.set_xy(np.column_stack([np.r_[x, x[::-1]], np.r_[y, np.full_like(y, 0.1)]]))
        self.text.set_text(text)

    def _count(self, values: np.ndarray, numbers: Rounded) -> np.ndarray:
        inside = np.clip(values.ravel(), self.edges[0], self.edges[-1])
        return np.histogram(inside, self.edges, weights=numbers.counts.ravel())[0]


class QuantizationPicture(Picture):
    """Left: the weights and the marks of their rulers, row by row; histograms. Right: accuracy, flash, latency, energy."""

    size = (7.2, 4.9)
    alt = (
        "Histogram of the layer's weights before and after rounding; up to 12 rulers, their marks and weights; "
        "histogram of what the layer reads; accuracy over the bits of the weights; flash, latency and energy."
    )

    def build(self, figure):
        self.layer = None
        self.weights = Histogram(figure, (0.03, 0.765, 0.55, 0.175), "weights of the layer")
        self.inputs = Histogram(figure, (0.03, 0.06, 0.55, 0.175), "what the layer reads")
        axes = figure.add_axes((0.03, 0.335, 0.55, 0.315), xticks=[], yticks=[], ylim=(0, 1))
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title("its rulers: marks (blue) and weights (black)", fontsize=10, pad=3)
        self.map = axes.imshow(np.zeros((1, 1, 4), np.uint8), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
        scores = figure.add_axes((0.695, 0.6, 0.275, 0.34), xlim=(8.4, 1.6), ylim=(0, 1))
        scores.set_title("accuracy", fontsize=10, pad=3)
        scores.set_xticks(BITS, [str(bits) for bits in BITS])
        scores.set_xlabel("bits of the weights", fontsize=9, labelpad=1)
        scores.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "", "", "", "", "100%"])
        scores.tick_params(labelsize=9)
        scores.grid(True)
        (self.float,) = scores.plot([], [], "--", color=MEASURED, lw=1)
        (self.curve,) = scores.plot([], [], "o-", color=MEASURED, ms=4)
        (self.old,) = scores.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        (self.chosen,) = scores.plot([], [], "o", ms=10, mfc="none", mec=OURS, mew=2.5)
        self.missing = scores.text(5, 0.5, "", ha="center", va="center", fontsize=10)
        self.score = scores.set_title("", loc="right", fontsize=10, pad=3, weight="bold")
        bytes_ = {2**11: "2 KiB", 2**14: "16", 2**17: "128", 2**20: "1 MiB"}
        seconds = {1e-5: "10 µs", 1e-4: "100", 1e-3: "1 ms", 1e-2: "10"}
        joules = {1e-6: "1 µJ", 1e-5: "10", 1e-4: "100", 1e-3: "1 mJ"}
        places = [(0.695, 0.40 - 0.17 * row, 0.275, 0.06) for row in range(3)]
        self.flash = BarGauge(figure, places[0], "flash", bytes_)
        self.latency = PointGauge(figure, places[1], "latency", seconds)
        self.energy = PointGauge(figure, places[2], "energy", joules)
        gauges = [artist for gauge in (self.flash, self.latency, self.energy) for artist in gauge.moving]
        curves = [self.float, self.curve, self.old, self.chosen, self.missing, self.score]
        return [self.map, *self.weights.moving, *self.inputs.moving, *curves, *gauges]

    def update(self, result: QuantizationResult, ghost: QuantizationResult | None) -> None:
        if result.layer != self.layer:
            self.layer = result.layer
            self.weights.scale(result.weights)
            self.inputs.scale(result.inputs)
            self.redraw()
        self.weights.set(result.weights, f"{result.weights.snr_db:.1f} dB")
        self.inputs.set(result.inputs, f"{result.inputs.snr_db:.1f} dB")
        self.map.set_data(self._map(result.weights))
        self._accuracy(result, ghost)
        now, before = result.estimate, ghost and ghost.estimate
        self.flash.set(now.flash_bytes, before and before.flash_bytes, memory(now.flash_bytes), result.flash_limit)
        self.latency.set(now.latency_ms * 1e-3, before and before.latency_ms.mid / 1e3, quantity(now.latency_ms.mid / 1e3, "s"))
        self.energy.set(now.energy_uj * 1e-6, before and before.energy_uj.mid / 1e6, quantity(now.energy_uj.mid / 1e6, "J"))

    def _accuracy(self, result: QuantizationResult, ghost: QuantizationResult | None) -> None:
        self.curve.set_data([row["weight_bits"] for row in result.curve], [row["accuracy"] for row in result.curve])
        self.float.set_data(([], []) if result.float_accuracy is None else ([1.6, 8.4], [result.float_accuracy] * 2))
        for circle, shown in ((self.chosen, result), (self.old, ghost)):
            row = shown and shown.accuracy
            circle.set_data(([row["weight_bits"]], [row["accuracy"]]) if row else ([], []))
        self.missing.set_text("" if result.accuracy else "not measured")
        self.score.set_text(f"{result.accuracy['accuracy']:.1%}" if result.accuracy else "")

    def _map(self, weights: Rounded) -> np.ndarray:
        """Scales from the longest ruler to the shortest, `ROWS` of them: two lines of marks, two of weights, one empty; RGBA."""
        left, right = self.weights.edges[[0, -1]]

        def column(x: np.ndarray) -> np.ndarray:
            return np.clip((x - left) / (right - left) * COLUMNS, 0, COLUMNS - 1).astype(int)

        order = np.argsort(-weights.levels[:, -1], kind="stable")
        chosen = order[np.linspace(0, len(order) - 1, min(ROWS, len(order))).round().astype(int)]
        picture = np.full((len(chosen), 5, COLUMNS, 4), PAPER, np.uint8)
        row = np.arange(len(chosen))[:, None]
        picture[row, 0, column(weights.levels[chosen])] = MARK
        picture[row, 2, column(weights.x[chosen])] = NUMBER
        picture[:, 1], picture[:, 3] = picture[:, 0], picture[:, 2]
        return picture.reshape(-1, COLUMNS, 4)[::-1]  # an image starts at the bottom
