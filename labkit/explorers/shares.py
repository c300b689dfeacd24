"""A cheaper front end, a cheaper network: who uses the energy afterwards, and how much cheaper the whole becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

import labkit
from labkit.course.style import GHOST, MEASURED, OTHER, OURS
from labkit.data import features
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.picture import Picture
from labkit.explorers.units import quantity
from labkit.hardware import analog_front_end
from labkit.hardware.analog_front_end import Budget, Shares
from labkit.hardware.catalog import load

PAPER, OWN = "as published", "your own"
BOARDS = ("nucleo-u385rg", "nucleo-u575zi", "nucleo-l4r5zi", "nucleo-g0b1re")
GAINS = (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 29, 50, 71, 100, 200, 500, 1000)  # of the front end; the network's end at 100


@cache
def bill(board: str) -> Budget:
    """One second of sound and one decision, by our models: microphone, MFCC, DS-CNN."""
    return analog_front_end.budget(labkit.device(board), features.workload(), families.ds_cnn())


def start(before: str) -> float:
    """The front end's share in the published setting, or on one of our boards, in whole per cent."""
    return analog_front_end.published().share_before if before == PAPER else round(bill(before).front_end_share.mid, 2)


def amdahl(share: float, front_end_gain: float, network_gain: float) -> tuple[float, float]:
    """labkit's own: the front end's share afterwards, and the gain of the whole."""
    setting = Shares(share, front_end_gain, network_gain)
    return setting.share_after, setting.system_gain


@dataclass(frozen=True, eq=False)
class ShareResult:
    """Two systems: before, and after both gains. `curve` is the gain of the whole at every front-end gain of `GAINS`."""

    share: float
    front_end_gain: float
    network_gain: float
    share_after: float
    system_gain: float
    curve: np.ndarray
    before_uj: labkit.Interval | None  # where the share is that of one of our boards

    @property
    def ceiling(self) -> float:
        """The gain of the whole if the front end cost nothing."""
        return Shares(self.share, self.front_end_gain, self.network_gain).ceiling


class ShareExplorer(Explorer):
    """`after` is ``(share, front_end_gain, network_gain) -> (share after, gain of the whole)``; a lab passes the student's own.

    >>> explorer = ShareExplorer(share=0.85, front_end_gain=29, network_gain=1)
    >>> round(explorer.result.share_after, 2), round(explorer.result.system_gain, 1), explorer.before
    (0.16, 5.6, 'as published')
    """

    before = Setting(PAPER, "before", (PAPER, *BOARDS, OWN), control="menu")
    share = Setting(0.85, "front end", tuple(percent / 100 for percent in range(1, 100)), show="{:.0%}".format)
    front_end_gain = Setting(29, "front end ÷", GAINS, show="{:g}".format)
    network_gain = Setting(1, "network ÷", GAINS[: GAINS.index(100) + 1], show="{:g}".format)

    def __init__(self, after: Callable = amdahl, **settings):
        self.after = after
        super().__init__(**settings)

    def follow(self, name: str) -> None:
        """A system brings its share; a share that is moved away from it is the student's own."""
        if name == "before" and self.before != OWN:
            self.share = start(self.before)
        if name == "share" and self.before != OWN and self.share != start(self.before):
            self.before = OWN

    def compute(self) -> ShareResult:
        share_after, gain = self._after(self.front_end_gain)
        return ShareResult(
            self.share, self.front_end_gain, self.network_gain, share_after, gain,
            curve=np.array([self._after(front_end_gain)[1] for front_end_gain in GAINS]),
            before_uj=bill(self.before).total_uj if self.before in BOARDS else None,
        )  # fmt: skip

    def _after(self, front_end_gain: float) -> tuple[float, float]:
        answer = np.asarray(call(self.after, self.share, front_end_gain, self.network_gain))
        if answer.shape != (2,) or answer.dtype.kind not in "iuf" or not (0 <= answer[0] <= 1 and 0 < answer[1] < np.inf):
            raise ValueError(
                f"for a share of {self.share:.0%} and gains of {front_end_gain:g} and {self.network_gain:g} came "
                f"{answer.tolist()}; return two numbers, a share from 0 to 1 and a gain above 0"
            )
        return float(answer[0]), float(answer[1])

    def say(self) -> str:
        r = self.result
        of_network = "unchanged" if r.network_gain == 1 else f"{r.network_gain:g} times cheaper"
        return (
            f"The front end, {r.share:.0%} of the energy, gets {r.front_end_gain:g} times cheaper, the network {of_network}: the "
            f"whole {_times(r.system_gain)} cheaper. The front end is {r.share_after:.1%} of what is left. If it cost nothing, the "
            f"whole would be {_times(r.ceiling)} cheaper."
        )

    def rows(self, r: ShareResult) -> list[tuple[str, str]]:
        return [
            ("share, before", f"{r.share:.0%}"),
            ("share, after", f"{r.share_after:.1%}"),
            ("network, after", f"{1 - r.share_after:.1%}"),
            ("the whole", f"{_times(r.system_gain)} less"),
            ("ceiling", f"{_times(r.ceiling)} less"),
            ("energy, before", quantity(r.before_uj.mid / 1e6, "J") if r.before_uj else "not published"),
            ("energy, after", quantity(r.before_uj.mid / r.system_gain / 1e6, "J") if r.before_uj else "not published"),
        ]

    def sources(self) -> tuple[str, ...]:
        published = load("analog_front_end")["published"].values()
        ours = bill(self.before).provenance if self.before in BOARDS else ()
        return (
            "Energy after / energy before = share / front-end gain + (1 − share) / network gain (Amdahl's law).",
            *(f"Published {number.value:g} {number.unit}: {number.source}." for number in published),
            "Shares on boards are estimates with 80 % intervals: one second of microphone, MFCC and DS-CNN (int8), once a second.",
            *ours,
        )

    def picture(self) -> SharePicture:
        return SharePicture()


def _times(gain: float) -> str:
    return f"{gain:.3g} times" if gain < 999.5 else f"{gain:,.0f} times"


class SharePicture(Picture):
    """Above: the energy before and after, and the rest enlarged. Below: the gain over the front end's; shares on our boards."""

    size = (7.2, 4.4)
    alt = (
        "Bars of the energy before and after, parted into front end and network; the gain of the whole over that of the front end, "
        "with its ceiling (dotted) and the published 4.3 and 71 at the edge; the share as published and on four boards, estimated."
    )

    def build(self, figure):
        return [*self._bars(figure), *self._gain(figure), *self._boards(figure)]

    def _bars(self, figure):
        axes = figure.add_axes((0.125, 0.545, 0.85, 0.36), xlim=(0, 1), ylim=(2.45, -0.45))
        axes.set_yticks([0, 1, 2], ["before", "after", "after,\nenlarged"])
        axes.set_xticks([])
        axes.tick_params(labelsize=9, length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        self.headline = axes.set_title("", loc="right", fontsize=10, pad=5, weight="bold")
        (self.lens,) = axes.fill([0] * 4, [0] * 4, color="#EEEEEE", lw=0)
        self.front = [axes.barh(row, 0, height=0.56, color=OURS)[0] for row in range(3)]
        self.network = [axes.barh(row, 0, height=0.56, color=OTHER)[0] for row in range(3)]
        self.ghosts = [axes.plot([], [], "|", ms=24, mew=2.5, color=GHOST)[0] for _ in range(3)]
        self.words = [axes.text(0.008, row, "", color="white", va="center", fontsize=10, weight="bold") for row in range(3)]
        square = {"handlelength": 1, "handleheight": 1, "columnspacing": 1.2}
        place = {"loc": "lower left", "bbox_to_anchor": (-0.012, 0.975)}
        axes.legend([self.front[0], self.network[0]], ["front end", "network"], ncols=2, fontsize=10, **place, **square)
        return [self.lens, *self.front, *self.network, *self.ghosts, *self.words, self.headline]

    def _gain(self, figure):
        axes = figure.add_axes((0.125, 0.125, 0.4, 0.3), xscale="log", yscale="log", xlim=(1, 1000), ylim=(1, 1500))
        axes.set_xticks([1, 10, 29, 100, 1000], ["1", "10", "29", "100", "1000"])
        axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        axes.minorticks_off()
        axes.tick_params(labelsize=9, length=3)
        axes.grid(True)
        axes.set_xlabel("front end: times cheaper", fontsize=9)
        axes.set_title("the whole: times cheaper (black: published)", loc="left", fontsize=10, pad=4)
        published = load("analog_front_end")["published"]
        for name in ("frugal_gain", "gain_over_others"):  # at the edge, because the abstract does not say what they belong to
            gain = published[name].value
            axes.plot([700, 1000], [gain] * 2, color=MEASURED, lw=2, clip_on=False)
            axes.text(1150, gain, f"{gain:g}", fontsize=9, weight="bold", va="center")
        (self.top,) = axes.plot([], [], ":", color=OURS, lw=1.5)
        (self.old_curve,) = axes.plot([], [], "--", color=GHOST, lw=1.5)
        (self.curve,) = axes.plot([], [], "-", color=OURS, lw=2)
        (self.old,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        (self.dot,) = axes.plot([], [], "o", ms=8, color=OURS)
        return [self.top, self.old_curve, self.curve, self.old, self.dot]

    def _boards(self, figure):
        axes = figure.add_axes((0.745, 0.125, 0.23, 0.3), xlim=(0, 1), ylim=(len(BOARDS) + 0.5, -0.6))
        axes.set_yticks(range(len(BOARDS) + 1), ["published", *BOARDS])
        axes.set_xticks([0, 0.5, 1], ["0", "50", "100%"])
        axes.tick_params(labelsize=9, length=3)
        axes.spines["left"].set_visible(False)
        axes.set_title("front end's share, before", loc="left", fontsize=10, pad=4, x=-0.5)
        axes.plot([start(PAPER)], [0], "s", ms=7, color=MEASURED)
        for row, share in enumerate((bill(board).front_end_share for board in BOARDS), start=1):
            axes.plot([share.low, share.high], [row, row], "-", lw=2, marker="|", ms=9, mew=2, color=OURS)
            axes.plot([share.mid], [row], "o", ms=6, color=OURS)
        self.old_share, self.chosen = (axes.plot([], [], "-", lw=2, color=colour)[0] for colour in (GHOST, MEASURED))
        return [self.old_share, self.chosen]

    def update(self, r: ShareResult, ghost: ShareResult | None) -> None:
        self.headline.set_text(f"energy of one decision: {_times(r.system_gain)} less")
        for row, (front, whole) in enumerate(_lengths(r)):
            self.front[row].set_width(front)
            self.network[row].set_x(front)
            self.network[row].set_width(whole - front)
            self.words[row].set_text(f"{front / whole:.0%}" if front > 0.06 else "")
        rest = 1 / r.system_gain
        self.lens.set_xy([(0, 1.28), (rest, 1.28), (1, 1.72), (0, 1.72)])
        for row, artist in enumerate(self.ghosts):
            old = [length for length in _lengths(ghost)[row] if length < 1] if ghost else []
            artist.set_data(old, [row] * len(old))
        self.top.set_data(([1, 1000], [r.ceiling] * 2))
        self.curve.set_data(GAINS, r.curve)
        self.dot.set_data([r.front_end_gain], [r.system_gain])
        self.old_curve.set_data(*((GAINS, ghost.curve) if ghost else ([], [])))
        self.old.set_data(*(([ghost.front_end_gain], [ghost.system_gain]) if ghost else ([], [])))
        bottom_to_top = (len(BOARDS) + 0.5, -0.6)
        self.chosen.set_data([r.share] * 2, bottom_to_top)
        self.old_share.set_data(*(([ghost.share] * 2, bottom_to_top) if ghost else ([], [])))


def _lengths(r: ShareResult) -> tuple[tuple[float, float], ...]:
    """Front end and whole of the three bars, the energy before being 1."""
    rest = 1 / r.system_gain
    return (r.share, 1.0), (r.share_after * rest, rest), (r.share_after, 1.0)
