"""Power-of-two levels against uniform ones at equal bits: where they stand, what they lose of a trained layer, what a MAC costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from labkit.course.style import GHOST, MEASURED, MORE, OURS, WRONG
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.level_formats import CIRCUIT, FORMATS, INT8, POWER, UNIFORM, costs, density, format_of, mac, trained_layers
from labkit.explorers.picture import Picture
from labkit.explorers.units import memory
from labkit.hardware.estimate import Interval
from labkit.hardware.inner_loops import CORES, inner_loop
from labkit.quantization.formats import PowerOfTwo

SHARED = ("the layer", "each channel")
REACHES = tuple(round(0.3 + 0.05 * step, 2) for step in range(15))
COLUMNS = 40  # of the histogram


@dataclass(frozen=True, eq=False)
class LevelResult:
    """One layer in four formats of the same bits. Weights and levels are relative to the largest weight (of layer or channel)."""

    chosen: str
    bits: int
    reach: float
    weights: np.ndarray
    levels: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]  # SNR in dB for every reach of REACHES
    costs: dict[str, Interval]
    loop: tuple[str, int]

    @property
    def snr_db(self) -> dict[str, float]:
        return {name: float(curve[REACHES.index(self.reach)]) for name, curve in self.curves.items()}

    @property
    def relative(self) -> dict[str, Interval]:
        """What a MAC costs, one with int8 weights being 1."""
        return {name: cost * (1 / INT8[name].mid) for name, cost in self.costs.items()}


class LevelExplorer(Explorer):
    """`power_of_two` rounds numbers to power-of-two codes, ``(x, bits) -> codes`` like ``PowerOfTwo(bits).project``; a lab passes
    the student's own. `layers` is weights ``(out, …)`` by name; by default those of the shipped networks.

    >>> explorer = LevelExplorer(format="power of two", bits=4, reach=1.0)
    >>> explorer.result.snr_db["uniform"] > explorer.result.snr_db["two steps"]
    True
    """

    layer = Setting(None, "layer", lambda explorer: explorer.layers, control="menu")
    shared = Setting(SHARED[0], "a scale for", SHARED, control="menu")
    format = Setting(POWER, "format", FORMATS, control="menu")
    bits = Setting(4, "bits", (2, 3, 4, 5))
    reach = Setting(1.0, "reach", REACHES, show="{:.0%}".format)

    def __init__(
        self,
        power_of_two: Callable | None = None,
        layers: Mapping[str, np.ndarray] | None = None,
        **settings,
    ):
        self.power_of_two = power_of_two or (lambda x, bits: PowerOfTwo(bits).project(x))
        self.layers = dict(layers or trained_layers())
        self._known: dict[tuple, dict[str, np.ndarray]] = {}
        names = list(self.layers)
        super().__init__(**{"layer": names[min(2, len(names) - 1)], **settings})

    def compute(self) -> LevelResult:
        weight = np.asarray(self.layers[self.layer], dtype=float)
        if not np.isfinite(weight).all() or not weight.any():
            raise ValueError(f"the weights of {self.layer!r} are all zero, or not finite; choose another layer")
        rows = weight.reshape(len(weight) if self.shared == SHARED[1] else 1, -1)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        rows = rows / np.where(largest > 0, largest, 1)
        levels = {name: self._levels(name) for name in FORMATS}
        return LevelResult(
            chosen=self.format,
            bits=self.bits,
            reach=self.reach,
            weights=rows.ravel(),
            levels={name: codes * self.reach / format_of(name, self.bits).span for name, codes in levels.items()},
            curves=self._curves(rows, largest),
            costs=costs(format_of(self.format, self.bits).levels),
            loop=mac(format_of(self.format, self.bits).levels),
        )

    def _curves(self, rows: np.ndarray, largest: np.ndarray) -> dict[str, np.ndarray]:
        """SNR at every reach, computed once for each layer, granularity and number of bits."""
        key = (self.layer, self.shared, self.bits)
        if key not in self._known:
            signal = np.sum((rows * largest) ** 2)
            reach = np.array(REACHES).reshape(-1, 1, 1)
            curves = {}
            for name in FORMATS:
                scale = reach / format_of(name, self.bits).span
                noise = np.sum(((self._codes(name, rows / scale) * scale - rows) * largest) ** 2, axis=(1, 2))
                curves[name] = 10 * np.log10(signal / np.maximum(noise, 1e-12 * signal))  # 120 dB stand for "no error"
            self._known[key] = curves
        return self._known[key]

    def _codes(self, name: str, x: np.ndarray) -> np.ndarray:
        if name != POWER:
            return format_of(name, self.bits).project(x)
        codes = np.asarray(call(self.power_of_two, x.ravel(), self.bits))
        if codes.shape != (x.size,) or codes.dtype.kind not in "iuf" or not np.isfinite(codes).all():
            raise ValueError(f"for {x.size} numbers came {codes.dtype} of shape {codes.shape}; return one finite code for each")
        return codes.reshape(x.shape)

    def _levels(self, name: str) -> np.ndarray:
        """All codes that come out when a ramp goes in: with a student's function, those it really has."""
        format = format_of(name, self.bits)
        if name != POWER:
            return format.levels
        ramp = np.geomspace(0.3, format.span, 400)
        return np.unique(self._codes(name, np.concatenate([-ramp[::-1], [0.0], ramp])))

    def say(self) -> str:
        r, snr, cost = self.result, self.result.snr_db, self.result.relative
        text = f"{self.format}, {self.bits} bits: SNR {snr[self.format]:.1f} dB"
        text += f", uniform {snr[UNIFORM]:.1f} dB" if self.format != UNIFORM else ""
        cycles = ", ".join(f"{cost[core].mid:.2g} times on {name}" for core, name in zip(CORES, _SPOKEN, strict=True))
        return f"{text}. Cycles of a MAC against int8: {cycles}; energy in a circuit: {r.relative[CIRCUIT].mid:.2g} times."

    def rows(self, r: LevelResult) -> list[tuple[str, str]]:
        best = REACHES[int(r.curves[r.chosen].argmax())]
        return [
            ("levels", str(len(r.levels[r.chosen]))),
            *((f"SNR, {name}", f"{r.snr_db[name]:.1f} dB") for name in FORMATS),
            ("best reach", f"{best:.0%}"),
            *((f"cycles, {core}", _short(r.costs[core])) for core in CORES),
            ("circuit, fJ", _short(1000 * r.costs[CIRCUIT])),
            ("weights", memory(r.weights.size * r.bits / 8)),
        ]

    def sources(self) -> tuple[str, ...]:
        loop, rounds = self.result.loop
        counted = f" Counted {rounds} times, once for each power in a weight (assumed)." if rounds > 1 else ""
        return (
            "SNR: power of the weights over power of their rounding error; computed here, batch norms folded.",
            "Reach: where the last level stands, as a share of the largest weight; what lies beyond saturates.",
            *(f"{inner_loop(core, loop)}.{counted}" for core in CORES),
            f"{CIRCUIT}: energy of the arithmetic alone, Horowitz (ISSCC 2014) and You et al. (NeurIPS 2020).{counted}",
            f"int8 takes {', '.join(f'{INT8[core].mid:.2g} cycles on {core}' for core in CORES)} and {INT8[CIRCUIT].mid:.2g} pJ.",
        )

    def picture(self) -> LevelPicture:
        return LevelPicture()


_SPOKEN = ("an M4", "an M0+", "an M0+ with the slow multiplier")


def _short(interval: Interval) -> str:
    low, mid, high = (f"{end:.0f}" if end >= 100 else f"{end:.2g}" for end in (interval.low, interval.mid, interval.high))
    return f"{mid} ({low}–{high})"


class LevelPicture(Picture):
    """Left: the weights and the levels as densities, and the levels of all formats. Right: SNR over the reach; cost of a MAC."""

    size = (7.2, 4.4)
    alt = (
        "Density of the weights with the density of the levels; the levels of four formats as ticks; SNR over the reach of the "
        "grid; the cost of a multiply-accumulate relative to int8 on three cores and in a circuit."
    )

    def build(self, figure):
        side = {"left": 0.115, "width": 0.475}
        top = figure.add_axes((side["left"], 0.5, side["width"], 0.42), xlim=(-1.2, 1.2), ylim=(0, 3), xticks=[], yticks=[])
        top.spines["left"].set_visible(False)
        top.set_title("density: weights (black), levels (blue)", fontsize=10, pad=4)
        (self.histogram,) = top.fill([0], [0], color=MEASURED, alpha=0.75, lw=0)
        (self.old,) = top.plot([], [], color=GHOST, lw=1.2, ls="--")
        (self.staircase,) = top.plot([], [], color=OURS, lw=1.6)
        rows = figure.add_axes((side["left"], 0.125, side["width"], 0.31), xlim=(-1.2, 1.2), ylim=(len(FORMATS) - 0.4, -0.6))
        rows.set_yticks(range(len(FORMATS)), ["uniform", "power\nof two", "additive", "two\nsteps"])
        rows.set_xticks([-1, -0.5, 0, 0.5, 1])
        rows.tick_params(labelsize=9, length=0)
        rows.spines[["left", "bottom"]].set_visible(False)
        rows.set_xlabel("weight / largest weight", fontsize=9)
        self.others, self.chosen = (rows.plot([], [], "|", ms=17, mew=1.6, color=colour)[0] for colour in (GHOST, OURS))
        return [self.histogram, self.old, self.staircase, self.others, self.chosen, *self._snr(figure), *self._cost(figure)]

    def _snr(self, figure):
        axes = figure.add_axes((0.685, 0.5, 0.285, 0.355), xlim=(0.27, 1.05), ylim=(0, 35))
        axes.set_xticks([0.4, 0.6, 0.8, 1.0], ["40%", "60%", "80%", "100%"])
        axes.set_yticks([0, 10, 20, 30])
        axes.tick_params(labelsize=9, length=3)
        axes.grid(True)
        axes.set_title("SNR (dB) over the reach", loc="left", fontsize=10, pad=30)
        looks = zip(FORMATS, ("o", "^", "s", "v"), (MEASURED, MORE[1], MORE[0], GHOST), strict=True)
        self.curves = {name: axes.plot([], [], marker=m, ms=3.5, lw=1.1, color=c, label=name)[0] for name, m, c in looks}
        axes.legend(ncols=2, fontsize=8, loc="lower left", bbox_to_anchor=(-0.06, 0.98), columnspacing=0.9, handlelength=1.4)
        (self.before,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        (self.now,) = axes.plot([], [], "o", ms=10, mfc="none", mec=OURS, mew=2.5)
        return [*self.curves.values(), self.before, self.now]

    def _cost(self, figure):
        places = (*CORES, CIRCUIT)
        axes = figure.add_axes((0.755, 0.125, 0.215, 0.225), xscale="log", xlim=(0.2, 20), ylim=(len(places) - 0.5, -0.6))
        axes.set_xticks([0.25, 1, 4, 16], ["¼", "1", "4", "16"])
        axes.minorticks_off()
        axes.set_yticks(range(len(places)), [*CORES, "energy"])
        axes.tick_params(labelsize=9, length=3)
        axes.spines["left"].set_visible(False)
        axes.axvline(1, color=MEASURED, lw=1)
        axes.set_title("cost of a MAC, int8 = 1", loc="left", fontsize=10, pad=4, x=-0.33)
        both = ((False, OURS), (True, WRONG))  # whether a MAC costs more than with int8 weights
        self.whiskers = {more: axes.plot([], [], "-", lw=2, marker="|", ms=9, mew=2, color=colour)[0] for more, colour in both}
        self.dots = {more: axes.plot([], [], "o", ms=6, color=colour)[0] for more, colour in both}
        (self.cost_before,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        return [*self.whiskers.values(), *self.dots.values(), self.cost_before]

    def update(self, result: LevelResult, ghost: LevelResult | None) -> None:
        heights, edges = np.histogram(result.weights, COLUMNS, (-1, 1), density=True)
        self.histogram.set_xy(np.column_stack([np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])]))
        self.staircase.set_data(*density(result.levels[result.chosen]))
        self.old.set_data(*(density(ghost.levels[ghost.chosen]) if ghost else ([], [])))
        rows = {name: np.full(len(result.levels[name]), row) for row, name in enumerate(FORMATS)}
        others = [name for name in FORMATS if name != result.chosen]
        self.chosen.set_data(result.levels[result.chosen], rows[result.chosen])
        self.others.set_data(*(np.concatenate([of[name] for name in others]) for of in (result.levels, rows)))
        for name, curve in self.curves.items():
            curve.set_data(REACHES, result.curves[name])
            curve.set_linewidth(2.6 if name == result.chosen else 1.1)
        for circle, shown in ((self.now, result), (self.before, ghost)):
            circle.set_data(([shown.reach], [shown.snr_db[shown.chosen]]) if shown else ([], []))
        for more in (False, True):
            here = [(row, cost) for row, cost in enumerate(result.relative.values()) if (cost.mid > 1) == more]
            ends = [(end, row) for row, cost in here for end in (cost.low, cost.high, np.nan)]
            self.whiskers[more].set_data(*np.reshape(ends, (-1, 2)).T)
            self.dots[more].set_data([cost.mid for _, cost in here], [row for row, _ in here])
        before = [cost.mid for cost in ghost.relative.values()] if ghost else []
        self.cost_before.set_data(before, range(len(before)))
