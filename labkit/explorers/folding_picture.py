"""The drawing of the folding explorer: the pipeline as a Gantt chart, and the chip that it takes."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import PolyCollection

from labkit.course.style import GHOST, MEASURED, MORE, OTHER, OURS, RIGHT, WRONG
from labkit.explorers.folding import NAMES, FoldingResult, seconds
from labkit.explorers.gauge import PointGauge
from labkit.explorers.picture import Picture
from labkit.explorers.units import quantity
from labkit.hardware.estimate import Interval
from labkit.hardware.fpga import Pipeline, PipelineStage

FULL = 1.6  # the chip's bars end here, in chips


class FoldingPicture(Picture):
    """Left: each stage from its first window to its last output. Right: latency, energy, and the share of the chip."""

    size = (7.2, 4.9)
    alt = (
        "One line a layer, from left to right the time of one inference: pale from the first window to the last output, full as "
        "thick as the share of that time in which the layer computes (orange: the slowest); latency, interval, energy; "
        "the share of the chip's DSP slices, LUTs and block RAMs, with the range of what the tools may report."
    )

    def build(self, figure):
        self.network = None
        return [*self._gantt(figure), *self._gauges(figure), *self._chip(figure)]

    def _gantt(self, figure):
        axes = self.axes = figure.add_axes((0.135, 0.085, 0.44, 0.8), xlim=(0, 1))
        axes.set_xticks([0, 0.5, 1], ["0", "time of one inference", "end"])
        axes.tick_params(labelsize=9, length=0)
        axes.spines["left"].set_visible(False)
        figure.text(0.012, 0.955, "when each layer works (orange: the slowest)", fontsize=10)
        self.headline = axes.set_title("", loc="right", fontsize=10, pad=4, weight="bold")
        self.spans = axes.add_collection(PolyCollection([], facecolors=MORE[0], alpha=0.35, lw=0))
        self.work = axes.add_collection(PolyCollection([], facecolors=OURS, lw=0))
        self.slowest = axes.add_collection(PolyCollection([], facecolors=OTHER, lw=0))
        (self.ghosts,) = axes.plot([], [], "|", ms=7, mew=2, color=GHOST)
        return [self.spans, self.work, self.slowest, self.ghosts, self.headline]

    def _gauges(self, figure):
        times = {1e-6: "1 µs", 1e-5: "10", 1e-4: "100", 1e-3: "1 ms", 1e-2: "10", 1e-1: "100"}
        joules = {1e-6: "1 µJ", 1e-5: "10", 1e-4: "100", 1e-3: "1 mJ", 1e-2: "10", 1e-1: "100"}
        self.latency = PointGauge(figure, (0.65, 0.815, 0.325, 0.07), "latency", times)
        self.interval = PointGauge(figure, (0.65, 0.64, 0.325, 0.07), "interval", times)
        self.energy = PointGauge(figure, (0.65, 0.465, 0.325, 0.07), "energy, whole board", joules)
        gauges = (self.latency, self.interval, self.energy)
        return [artist for gauge in gauges for artist in gauge.moving if artist is not gauge.limit]  # nothing limits them

    def _chip(self, figure):
        axes = figure.add_axes((0.65, 0.085, 0.325, 0.265), xlim=(0, FULL), ylim=(2.75, -0.75))
        axes.set_title("share of the chip", loc="left", fontsize=10, pad=4)
        axes.set_xticks([0, 0.5, 1], ["0", "50", "100%"])
        axes.yaxis.set_visible(False)
        axes.tick_params(labelsize=9, length=3)
        axes.spines["left"].set_visible(False)
        axes.plot([1, 1], [-0.5, 2.75], "-", color=MEASURED, lw=2)
        bars = [axes.barh(row + 0.16, 0, height=0.34)[0] for row in range(len(NAMES))]
        self.bars = dict(zip(NAMES, bars, strict=True))
        (self.ranges,) = axes.plot([], [], "-", color=MEASURED, lw=1.2)  # one artist is drawn faster than three
        (self.old_bars,) = axes.plot([], [], "|", ms=11, mew=2.5, color=GHOST)
        self.words = {name: axes.text(0, row - 0.3, "", fontsize=9, va="center") for row, name in enumerate(NAMES)}
        return [*self.bars.values(), self.ranges, self.old_bars, *self.words.values()]

    def update(self, result: FoldingResult, ghost: FoldingResult | None) -> None:
        if result.network != self.network:  # other layers: other names at the left
            self.network = result.network
            names = [one.name for one in result.stages]
            self.axes.set(ylim=(len(names) - 0.4, -0.6))
            self.axes.set_yticks(range(len(names)), names, fontsize=9 if len(names) < 16 else 7)
            self.redraw()
        self._update_gantt(result, ghost)
        self._update_gauges(result, ghost)
        self._update_chip(result.pipeline, ghost and ghost.pipeline)

    def _update_gantt(self, result: FoldingResult, ghost: FoldingResult | None) -> None:
        end, slow = result.pipeline.latency_cycles, result.pipeline.bottleneck
        self.spans.set_verts([box(row, one.start / end, one.end / end, 0.84) for row, one in enumerate(result.stages)])
        work = {one: box(row, one.start / end, one.end / end, 0.84 * duty(one)) for row, one in enumerate(result.stages)}
        self.slowest.set_verts([work.pop(slow)] if slow in work else [])
        self.work.set_verts(list(work.values()))
        same = ghost is not None and ghost.network == result.network
        ends = [(one.end / end, row) for row, one in enumerate(ghost.stages) if one.end <= end] if same else []
        self.ghosts.set_data([x for x, _ in ends], [y for _, y in ends])
        cycles = f"{result.pipeline.interval_cycles:,.0f} cycles apart"
        self.headline.set_text(f"{seconds(result.pipeline.latency_us)}; {cycles}")

    def _update_gauges(self, r: FoldingResult, ghost: FoldingResult | None) -> None:
        before = ghost and ghost.pipeline
        interval = Interval.exactly(r.pipeline.interval_us)
        self.latency.set(r.latency_us * 1e-6, before and before.latency_us / 1e6, seconds(r.pipeline.latency_us))
        self.interval.set(interval * 1e-6, before and before.interval_us / 1e6, seconds(r.pipeline.interval_us))
        self.energy.set(r.energy_uj * 1e-6, ghost and ghost.energy_uj.mid / 1e6, quantity(r.energy_uj.mid / 1e6, "J"))

    def _update_chip(self, pipeline: Pipeline, before: Pipeline | None) -> None:
        x, rows = [], [row + 0.16 for row in range(len(NAMES))]
        for name in NAMES:
            need, limit = pipeline.needs[name], pipeline.capacity[name]
            fits = need <= limit
            self.bars[name].set_width(min(need / limit, FULL))
            self.bars[name].set_color(RIGHT if fits else WRONG)
            x += [*(min(factor * need / limit, FULL) for factor in pipeline.spread[name]), np.nan]  # a gap between two ranges
            self.words[name].set_text(f"{NAMES[name]}: {need:,} / {limit:,}")
            self.words[name].set_color(MEASURED if fits else WRONG)
        self.ranges.set_data(x, np.repeat(rows, 3))
        old = [min(before.needs[name] / before.capacity[name], FULL) for name in NAMES] if before else []
        self.old_bars.set_data(old, rows[: len(old)])


def box(row: int, left: float, right: float, height: float) -> list[tuple[float, float]]:
    """The corners of a bar around `row`."""
    return [(left, row - height / 2), (right, row - height / 2), (right, row + height / 2), (left, row + height / 2)]


def duty(one: PipelineStage) -> float:
    """The share of its time in which a stage computes; the rest it waits."""
    return one.busy / (one.end - one.start) if one.end > one.start else 0.0
