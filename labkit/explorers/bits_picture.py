"""The picture of the bit painter: cells in the ink of their width, and all searches of a task as points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from labkit.course.style import GHOST, MEASURED, OTHER, OURS
from labkit.explorers.picture import Picture

if TYPE_CHECKING:
    from labkit.explorers.bits import BitResult

SHARES = {"channel": "every channel", "layer": "every layer"}  # who chooses a width
INKS = {0: "#EBEBEB", 2: "#9CCBEA", 4: "#2F86BD", 8: "#062B49"}  # more bits, more ink
CELL = 8  # pixels of the bitmap for one channel
WIDEST = 64  # channels


class BitPicture(Picture):
    """Left: every output channel of every layer in the colour of its width. Right: accuracy against memory, and against energy."""

    size = (7.2, 4.4)
    alt = (
        "A row of cells for each layer, one cell an output channel, darker for more bits; accuracy against bytes of weights and "
        "against energy for all searches of the task, the present one in a circle."
    )

    def build(self, figure):
        self.task = None
        self.canvas_axes = axes = figure.add_axes((0.118, 0.15, CELL * WIDEST / 1080, 0.73), xlim=(0, WIDEST), ylim=(0, 1))
        axes.set(xticks=[], yticks=[])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(labelsize=9, length=0)
        axes.set_title("output channels, one cell each", fontsize=10, pad=5)
        axes.set_title("mean", fontsize=10, pad=5, loc="right", x=1.095)
        blank = np.full((1, 1, 4), 255, np.uint8)
        self.cells = axes.imshow(blank, extent=(0, WIDEST, 0, 1), aspect="auto", origin="lower")
        self.averages = [axes.text(WIDEST + 5.8, 0, "", ha="right", va="center", fontsize=10) for _ in range(10)]
        names = [f"{bits} bits" if bits else "0: pruned" for bits in INKS]
        keys = [Patch(color=ink, label=name) for name, ink in zip(names, INKS.values(), strict=True)]
        axes.legend(handles=keys, ncols=4, fontsize=9, loc="upper left", bbox_to_anchor=(-0.02, -0.01), handlelength=1.2)
        places = [(0.735, 0.6, 0.245, 0.285), (0.735, 0.15, 0.245, 0.285)]
        self.plots = [self._plot(figure, *both) for both in zip(places, ("weights (KiB)", "energy on MPIC (µJ)"), strict=True)]
        moving = [artist for plot in self.plots for artist in (plot["before"], plot["now"])]
        return [self.cells, *self.averages, *moving]

    def _plot(self, figure, place, label) -> dict:
        axes = figure.add_axes(place)
        axes.tick_params(labelsize=9, length=3)
        axes.set_xlabel(label, fontsize=9, labelpad=2)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(True)
        plot = {"axes": axes}
        for share, colour, marker in (("channel", OURS, "o"), ("layer", OTHER, "s")):
            (plot[share, "runs"],) = axes.plot([], [], marker, ms=3, color=colour, alpha=0.35, mew=0)
            (plot[share, "means"],) = axes.plot([], [], marker, ms=5.5, color=colour, label=share)
            (plot[share, "front"],) = axes.plot([], [], "-", lw=1.3, color=colour)
        (plot["before"],) = axes.plot([], [], "o", ms=11, mfc="none", mec=GHOST, mew=2)
        (plot["now"],) = axes.plot([], [], "o", ms=11, mfc="none", mec=MEASURED, mew=2)
        if label.startswith("weights"):
            axes.set_title("accuracy (%), a width for each", loc="left", fontsize=10, pad=20, x=-0.2)
            marks = [plot[share, "means"] for share in SHARES]
            axes.legend(handles=marks, ncols=2, fontsize=9, loc="lower left", bbox_to_anchor=(-0.25, 0.97), handletextpad=0.1)
        return plot

    def update(self, result: BitResult, ghost: BitResult | None) -> None:
        if result.row["task"] != self.task:
            self.task = result.row["task"]
            self._task(result)
            self.redraw()
        names = list(result.channels)
        self.cells.set_array(self._painting(list(result.channels.values())))
        for text, name in zip(self.averages, names, strict=False):
            text.set_text(f"{result.channels[name].mean():.1f}")
        for text in self.averages[len(names) :]:
            text.set_text("")
        same = ghost is not None and ghost.row["task"] == self.task
        for plot, cost in zip(self.plots, (_kib, _uj), strict=True):
            plot["now"].set_data([cost(result.row)], [100 * result.row["accuracy"]])
            plot["before"].set_data(([cost(ghost.row)], [100 * ghost.row["accuracy"]]) if same else ([], []))

    def _painting(self, layers: list[np.ndarray]) -> np.ndarray:
        """One bitmap of all cells, bottom row first, as large as its place: nothing is resampled."""
        height = round(self.canvas_axes.bbox.height)
        picture = np.full((height, CELL * WIDEST, 4), 255, np.uint8)
        for row, widths in enumerate(layers):
            low, high = (round(height * (1 - (row + part) / len(layers))) for part in (0.86, 0.06))
            cells = np.repeat(_COLOURS[widths], CELL, axis=0)
            cells[CELL - 1 :: CELL] = 255
            picture[low:high, : len(cells)] = cells
        return picture

    def _task(self, result: BitResult) -> None:
        """What only another task changes: names of layers, the searches to compare with."""
        names = list(result.channels)
        heights = [1 - (row + 0.46) / len(names) for row in range(len(names))]
        self.canvas_axes.set_yticks(heights, names)
        for text, height in zip(self.averages, heights, strict=False):
            text.set_y(height)
        for number, (plot, cost) in enumerate(zip(self.plots, (_kib, _uj), strict=True)):
            for share, means in result.means.items():
                runs = [row for row in result.all_rows if row["share"] == share]
                plot[share, "runs"].set_data([cost(row) for row in runs], [100 * row["accuracy"] for row in runs])
                costs = means.weight_bytes / 1024 if number == 0 else means.energy_uj
                front, order = means.fronts[number], np.argsort(costs)
                plot[share, "means"].set_data(costs, 100 * means.accuracy)
                plot[share, "front"].set_data(costs[order][front[order]], 100 * means.accuracy[order][front[order]])
            costs, accuracies = np.array([(cost(row), 100 * row["accuracy"]) for row in result.all_rows]).T
            margin = 0.08 * np.ptp(costs)
            plot["axes"].set_xlim(costs.min() - margin, costs.max() + margin)
            plot["axes"].set_ylim(accuracies.min() - 1, accuracies.max() + 1)


_COLOURS = np.full((9, 4), 255, np.uint8)
for _bits, _ink in INKS.items():
    _COLOURS[_bits, :3] = [int(_ink[i : i + 2], 16) for i in (1, 3, 5)]


def _kib(row: dict) -> float:
    return row["weight_bytes"] / 1024


def _uj(row: dict) -> float:
    return row["energy_uj"]
