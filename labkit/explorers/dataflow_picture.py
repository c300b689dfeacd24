"""The picture of the dataflow explorer: a bar of energy for each dataflow, and the elements, darker the more they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from labkit.course.style import GHOST, MEASURED, MORE, OURS
from labkit.explorers.picture import Picture
from labkit.hardware.dataflow import DATAFLOWS

if TYPE_CHECKING:
    from labkit.explorers.dataflow import DataflowResult

PARTS = {"arithmetic": OURS, "registers": MORE[0], "network": MORE[2], "buffer": MORE[1], "external": "#5B4A42"}
CEILINGS = np.outer(10.0 ** np.arange(0, 6), [1, 2, 4]).ravel()  # where the axis of the bars may end
BITMAP = 352  # pixels along the array
TICKS = 5


class DataflowPicture(Picture):
    """Left: energy of one multiply-accumulate by level, a bar for each dataflow. Right: how much of the time each element works."""

    size = (7.2, 4.4)
    alt = (
        "Energy of a multiply-accumulate in picojoules, split into arithmetic, registers, network, buffer and external memory, for "
        "four dataflows; the elements of the array as squares, darker the more of the time they multiply."
    )

    def build(self, figure):
        names = list(DATAFLOWS)
        axes = figure.add_axes((0.135, 0.13, 0.45, 0.73), ylim=(len(names) - 0.45, -0.55), xlim=(0, 1))
        axes.set_yticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names])
        axes.tick_params(axis="y", labelsize=9, length=0)
        axes.set_xticks(np.linspace(0, 1, TICKS), [""] * TICKS)
        axes.set_xlabel("pJ for one multiply-accumulate", fontsize=9, labelpad=14)
        below = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 9}
        self.ticks = [axes.text(share, -0.02, "", **below) for share in np.linspace(0, 1, TICKS)]
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="x")
        inks = list(PARTS.values()) * len(names)
        self.bars = axes.add_collection(PolyCollection([], facecolors=inks, edgecolors="none"), autolim=False)
        (self.ghosts,) = axes.plot([], [], "|", ms=26, mew=2.5, color=GHOST)
        self.totals = [axes.text(0, row, "", ha="left", va="center", fontsize=10) for row in range(len(names))]
        keys = [Patch(color=ink, label=part) for part, ink in PARTS.items()]
        figure.legend(handles=keys, ncols=5, fontsize=9, loc="upper left", bbox_to_anchor=(0.0, 0.985), handlelength=1.2)
        cells = figure.add_axes((0.655, 0.13, 0.33, 0.33 * 7.2 / 4.4), xlim=(0, 1), ylim=(0, 1))
        cells.set(xticks=[], yticks=[])
        cells.spines[["left", "bottom"]].set_visible(False)
        self.title = cells.set_title("", fontsize=10, pad=6, loc="left")
        blank = np.full((1, 1, 4), 255, np.uint8)
        self.cells = cells.imshow(blank, extent=(0, 1, 0, 1), aspect="auto", origin="lower")
        cells.set_xlabel("pale: idle · blue: at work all the time", fontsize=9)
        return [*self.ticks, self.bars, self.ghosts, *self.totals, self.cells, self.title]

    def update(self, result: DataflowResult, ghost: DataflowResult | None) -> None:
        totals = list(result.per_mac.values())
        before = list(ghost.per_mac.values()) if ghost else []
        ceiling = self.ceiling = CEILINGS[min(np.searchsorted(CEILINGS, 1.12 * max(totals + before)), len(CEILINGS) - 1)]
        for text, share in zip(self.ticks, np.linspace(0, 1, TICKS), strict=True):
            text.set_text(f"{share * ceiling:g}")
        parts = np.array(list(result.levels.values())) / ceiling  # (dataflows, parts)
        ends = np.cumsum(parts, axis=1)
        starts, rows = ends - parts, np.arange(len(parts))[:, None] + np.zeros(parts.shape)
        corners = [(starts, rows - 0.25), (ends, rows - 0.25), (ends, rows + 0.25), (starts, rows + 0.25)]
        self.bars.set_verts(np.moveaxis(np.array(corners), (0, 1), (2, 3)).reshape(-1, 4, 2))
        self.ghosts.set_data(np.array(before) / ceiling, range(len(before)))
        best = int(np.argmin(totals))
        for row, (name, text, total) in enumerate(zip(result.per_mac, self.totals, totals, strict=True)):
            text.set_x(max(total, before[row] if before else 0) / ceiling + 0.02)
            text.set_text(f"{total:.3g}" + (" ◂ least" if row == best else ""))
            text.set_color(OURS if name == result.chosen else MEASURED)
        self.title.set_text(f"{result.chosen}: {result.movement.utilisation:.0%} at work")
        self.cells.set_array(_squares(result.occupancy))


def _squares(shares: np.ndarray) -> np.ndarray:
    """A square for each element, uint8 ``(rows, columns, 4)``; the first row of the array on top."""
    ink = np.array(to_rgb(OURS))
    pale = np.array(to_rgb("#E9EEF2"))
    cell = BITMAP // max(shares.shape)
    colours = np.full((*shares.shape, 4), 255, np.uint8)
    colours[..., :3] = np.round(255 * (pale + np.clip(shares[::-1], 0, 1)[..., None] * (ink - pale)))
    pixels = colours.repeat(cell, axis=0).repeat(cell, axis=1)
    gap = np.arange(len(pixels)) % cell < 1 + cell // 24
    pixels[gap], pixels[:, gap] = 255, 255
    return pixels
