"""One quantity on a logarithmic scale: the value, the ghost of the setting before, and the limit it must keep."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from labkit.course.style import GHOST, MEASURED, OURS, RIGHT, WRONG


class Gauge:
    """A horizontal scale inside `figure` at `place` (left, bottom, width, height as shares of the figure).

    `ticks` maps values to labels; its first and last value are the ends of the scale. What lies outside is drawn at the end; the
    number above the scale tells the truth.
    """

    def __init__(self, figure: Figure, place: tuple[float, float, float, float], title: str, ticks: dict[float, str]):
        axes = self.axes = figure.add_axes(place)
        self.low, self.high = min(ticks), max(ticks)
        axes.set(xscale="log", xlim=(self.low, self.high), ylim=(-1, 1))
        axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels(ticks.values())
        axes.yaxis.set_visible(False)
        axes.tick_params(labelsize=9, length=3)
        axes.spines["left"].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10, pad=4)
        value = self.build()
        (self.limit,) = axes.plot([], [], "-", color=MEASURED, lw=2, clip_on=False)
        (self.ghost,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2, clip_on=False)
        self.text = axes.set_title("", loc="right", fontsize=10, pad=4, weight="bold")
        self.moving = [*value, self.limit, self.ghost, self.text]

    def mark(self, ghost: float | None, text: str, limit: float | None, fits: bool) -> None:
        """Sets what both kinds of gauge have."""
        self.ghost.set_data(([], []) if ghost is None else ([self.inside(ghost)], [0]))
        self.limit.set_data(([], []) if limit is None else ([self.inside(limit)] * 2, [-1, 0.8]))
        self.text.set_text(text)
        self.text.set_color(MEASURED if fits else WRONG)

    def inside(self, value: float) -> float:
        return min(max(value, self.low), self.high)


class PointGauge(Gauge):
    """An estimate: a dot with whiskers, vermillion above the limit."""

    def build(self):
        (self.whisker,) = self.axes.plot([], [], "-", color=OURS, lw=2, marker="|", ms=13, mew=2, clip_on=False)
        (self.dot,) = self.axes.plot([], [], "o", ms=6, color=OURS, clip_on=False)
        return [self.whisker, self.dot]

    def set(self, bounds, ghost: float | None, text: str, limit: float | None = None) -> None:
        """`bounds` has low, mid and high, as an Interval."""
        low, mid, high = (self.inside(value) for value in (bounds.low, bounds.mid, bounds.high))
        fits = limit is None or bounds.mid <= limit
        self.whisker.set_data([low, high], [0, 0])
        self.dot.set_data([mid], [0])
        for artist in (self.whisker, self.dot):
            artist.set_color(OURS if fits else WRONG)
        self.mark(ghost, text, limit, fits)


class BarGauge(Gauge):
    """An amount: a bar, green up to its limit and vermillion above; blue where there is none."""

    def build(self):
        (self.bar,) = self.axes.fill([self.low] * 4, [-0.5, -0.5, 0.5, 0.5], lw=0)
        return [self.bar]

    def set(self, value: float, ghost: float | None, text: str, limit: float | None = None) -> None:
        end = self.inside(value)
        fits = limit is None or value <= limit
        self.bar.set_xy([(self.low, -0.5), (end, -0.5), (end, 0.5), (self.low, 0.5)])
        self.bar.set_color(OURS if limit is None else RIGHT if fits else WRONG)
        self.mark(ghost, text, limit, fits)
