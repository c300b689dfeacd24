"""The drawing of the drift explorer."""

from __future__ import annotations

import numpy as np

from labkit.course.style import GHOST, MEASURED, OURS, WRONG
from labkit.explorers.drift import DriftResult
from labkit.explorers.picture import Picture

CELLS = 110  # of the map of weights, each way
REACH = 1.25  # of the map, in largest weights
PAPER, INK, RED = (np.array(colour, dtype=float) for colour in ((255, 255, 255), (0, 114, 178), (213, 94, 0)))
DIAGONAL = (0, 0, 0, 255)
FIRST_S = 8.0  # where "just programmed" is drawn on the logarithmic axis
TICKS = {25.0: "25 s", 3600.0: "1 h", 86_400.0: "1 day", 2_592_000.0: "1 month", 31_536_000.0: "1 y"}


class DriftPicture(Picture):
    """Left: every weight, as meant and as it is. Right: confusion, as shares of each true class. Below: accuracy over time."""

    size = (7.4, 5.4)
    alt = (
        "Map of all weights, what was meant to be stored against what the network computes with; confusion matrix; "
        "accuracy over time with the band of four arrays and the accuracy of the digital network."
    )

    def __init__(self, labels: tuple[str, ...]):
        self.labels = labels
        super().__init__()

    def build(self, figure):
        weights = figure.add_axes((0.085, 0.5, 0.32, 0.4385), xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        weights.set_title("weights", fontsize=10, pad=4)
        weights.set_xlabel("as meant, share of the largest", fontsize=9, labelpad=1)
        weights.set_ylabel("now", fontsize=9, labelpad=0)
        for axis in (weights.xaxis, weights.yaxis):
            axis.set_ticks([-1, 0, 1])
        weights.tick_params(labelsize=9, length=3)
        white = np.full((CELLS, CELLS, 4), 255, np.uint8)
        self.map = weights.imshow(white, extent=(-REACH, REACH, -REACH, REACH), aspect="auto", origin="lower")
        self.error = weights.set_title("", loc="right", fontsize=10, pad=4, weight="bold")
        n = len(self.labels)
        confusion = figure.add_axes((0.62, 0.5, 0.32, 0.4385), xlim=(0, n), ylim=(0, n))
        confusion.set_title("movements", fontsize=10, pad=4)
        confusion.set_xlabel("taken for", fontsize=9, labelpad=1)
        confusion.set_yticks(np.arange(n) + 0.5, self.labels[::-1])
        confusion.set_xticks(np.arange(n) + 0.5, [label[:3] for label in self.labels])
        confusion.tick_params(labelsize=9, length=0)
        confusion.spines[["left", "bottom"]].set_visible(False)
        self.confusion = confusion.imshow(np.full((n, n, 4), 255, np.uint8), extent=(0, n, 0, n), aspect="auto", origin="lower")
        return [self.map, self.error, self.confusion, *self._curve(figure)]

    def _curve(self, figure):
        axes = figure.add_axes((0.085, 0.09, 0.855, 0.27), xscale="log", xlim=(6, 5e7), ylim=(0, 1))
        axes.set_xticks([FIRST_S, *TICKS], ["0", *TICKS.values()])
        axes.minorticks_off()
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "50%", "", "100%"])
        axes.tick_params(labelsize=9, length=3)
        axes.grid(axis="y")
        axes.set_title("accuracy over time since programming", fontsize=10, pad=4)
        (self.band,) = axes.fill([0], [0], color=GHOST, alpha=0.35, lw=0)
        (self.digital,) = axes.plot([], [], "--", color=MEASURED, lw=1)
        (self.mean,) = axes.plot([], [], ".-", color=MEASURED, lw=1.2)
        (self.before,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        (self.now,) = axes.plot([], [], "o", ms=10, mfc="none", mec=OURS, mew=2.5)
        self.score = axes.set_title("", loc="right", fontsize=10, pad=4, weight="bold")
        return [self.band, self.digital, self.mean, self.before, self.now, self.score]

    def update(self, r: DriftResult, ghost: DriftResult | None) -> None:
        self.map.set_data(density(r.target, r.now))
        self.error.set_text(f"off by {r.noise:.1%}")
        self.confusion.set_data(squares(r.report.confusion))
        time, mean, spread = r.band.T if len(r.band) else np.full((3, 1), np.nan)
        self.mean.set_data(time, mean)
        self.band.set_xy(np.column_stack([np.r_[time, time[::-1]], np.r_[mean - spread, (mean + spread)[::-1]]]))
        self.digital.set_data([6, 5e7], [r.digital] * 2)
        for circle, shown in ((self.now, r), (self.before, ghost)):
            circle.set_data(([max(shown.seconds, FIRST_S)], [shown.report.accuracy]) if shown else ([], []))
        self.score.set_text(f"{r.report.accuracy:.1%}")
        self.score.set_color(WRONG if r.report.accuracy < r.digital - 0.05 else MEASURED)


def density(target: np.ndarray, now: np.ndarray) -> np.ndarray:
    """How many weights stand where, RGBA ``(CELLS, CELLS, 4)``: blue, with the diagonal of perfect memory in black."""
    column, row = (np.clip((values + REACH) / (2 * REACH) * CELLS, 0, CELLS - 1).astype(int) for values in (target, now))
    counts = np.bincount(row * CELLS + column, minlength=CELLS**2).reshape(CELLS, CELLS)
    shade = np.clip(0.25 * counts, 0, 1)[..., None]
    picture = np.full((CELLS, CELLS, 4), 255, np.uint8)
    picture[..., :3] = PAPER + shade * (INK - PAPER)
    inside = np.arange(round(CELLS * (1 - 1 / REACH) / 2), round(CELLS * (1 + 1 / REACH) / 2))[::3]
    picture[inside, inside] = DIAGONAL
    return picture


def squares(confusion: np.ndarray) -> np.ndarray:
    """Shares of each true class, RGBA, first class on top: right in blue, wrong in vermillion."""
    share = (confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1))[..., None]
    colour = np.where(np.eye(len(confusion), dtype=bool)[..., None], INK, RED)
    picture = np.full((*confusion.shape, 4), 255, np.uint8)
    picture[..., :3] = PAPER + share * (colour - PAPER)
    return picture[::-1]
