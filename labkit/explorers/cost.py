"""Width, depth, kernel, input, device: what a network costs, before it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import labkit
from labkit.course.style import GHOST, OTHER, OURS
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting
from labkit.explorers.gauge import BarGauge, PointGauge
from labkit.explorers.picture import Picture
from labkit.explorers.units import lacks, memory, quantity, span
from labkit.workload import Layer, Workload

TASKS = {"keywords (DS-CNN)": (64, 4, 3), "motion (1-D CNN)": (16, 3, 7)}  # the zoo's width, blocks and kernel
KEYWORDS, MOTION = TASKS
ONE_STACK = "its own compiler"  # a device with an accelerator takes no other software
KINDS = ("convolution", "1×1 conv.", "depthwise", "linear", "the rest")


@cache
def device(name: str, stack: str) -> labkit.Device:
    return labkit.device(name) if stack == ONE_STACK else labkit.device(name, stack=stack)


@cache
def stacks(name: str) -> tuple[str, ...]:
    """The software that can run a network on a device, the usual one first."""
    usual = labkit.device(name)
    if not hasattr(usual, "stack_name"):
        return (ONE_STACK,)
    return tuple(dict.fromkeys((usual.stack_name, *usual.stacks())))


def kind(layer: Layer) -> str:
    if layer.op == "conv":
        return "1×1 conv." if set(layer.kernel) == {1} else "convolution"
    return layer.op if layer.op in KINDS else "the rest"


@dataclass(frozen=True, eq=False)
class CostResult:
    """A network, its price on one device, and the memory this device has."""

    workload: Workload
    estimate: labkit.Estimate
    flash_limit: int
    ram_limit: int

    def shares(self) -> dict[str, tuple[float, float]]:
        """Share of the MACs and share of the time of each kind of layer."""
        totals = {name: [0.0, 0.0] for name in KINDS}
        for layer, cost in zip(self.workload.layers, self.estimate.layers, strict=True):
            totals[kind(layer)][0] += layer.macs / self.workload.macs
            totals[kind(layer)][1] += cost.latency_ms / self.estimate.latency_ms.mid
        return {name: tuple(pair) for name, pair in totals.items()}


class CostExplorer(Explorer):
    """One inference of a network on a device: an estimate with its 80 % interval, and whether flash and RAM suffice.

    >>> explorer = CostExplorer(width=64, blocks=4, kernel=3, device="nucleo-l4r5zi")
    >>> explorer.result.workload.macs, explorer.fits
    (2656768, True)
    """

    task = Setting(KEYWORDS, "task", TASKS, control="menu")
    width = Setting(64, "width", (8, 16, 24, 32, 48, 64, 96, 128, 192, 256))
    blocks = Setting(4, "depth", (1, 2, 3, 4, 5, 6, 7, 8))
    kernel = Setting(3, "kernel", (3, 5, 7, 9))
    length = Setting(1.0, "input", (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), show="{:g} ×".format)
    device = Setting("nucleo-l4r5zi", "device", lambda explorer: labkit.devices(), control="menu")
    stack = Setting(None, "software", lambda explorer: stacks(explorer.device), control="menu")

    def __init__(self, **settings):
        self.set_trait("stack", stacks("nucleo-l4r5zi")[0])
        super().__init__(**settings)

    def follow(self, name: str) -> None:
        """Another task starts from its network in the zoo; another device from its usual software."""
        if name == "task":
            self.width, self.blocks, self.kernel = TASKS[self.task]
        if name == "device" and self.stack not in stacks(self.device):
            self.stack = stacks(self.device)[0]

    def workload(self) -> Workload:
        if self.task == KEYWORDS:
            frames = round(50 * self.length) - 1  # windows of 30 ms every 20 ms: one second gives 49
            return families.ds_cnn(self.width, self.blocks, self.kernel, frames)
        return families.har_cnn(self.width, self.blocks, self.kernel, samples=round(128 * self.length))

    def compute(self) -> CostResult:
        priced = device(self.device, self.stack)
        workload = self.workload()
        return CostResult(workload, priced.estimate(workload), priced.flash_bytes, priced.ram_bytes)

    @property
    def fits(self) -> bool:
        return not self.problem and self.result.estimate.fits

    def say(self) -> str:
        estimate = self.result.estimate
        verdict = f"{quantity(estimate.latency_ms.mid / 1e3, 's')} and {quantity(estimate.energy_uj.mid / 1e6, 'J')} per inference"
        if self.fits:
            return f"Fits. An estimated {verdict} on {self.device}."
        return f"Does not fit: {self.device} lacks {lacks(estimate.missing)}. It would take {verdict}."

    def rows(self, r: CostResult) -> list[tuple[str, str]]:
        estimate = r.estimate
        latency, energy = estimate.latency_ms * 1e-3, estimate.energy_uj * 1e-6
        return [
            ("input", " × ".join(map(str, r.workload.input_shape))),
            ("work", quantity(r.workload.macs, "MAC")),
            ("parameters", f"{r.workload.params:,}"),
            ("latency", quantity(latency.mid, "s")),
            ("80% interval", span(latency.low, latency.high, "s")),
            ("energy", quantity(energy.mid, "J")),
            ("80% interval ", span(energy.low, energy.high, "J")),
            ("RAM", memory(estimate.ram_bytes)),
            ("flash", memory(estimate.flash_bytes)),
        ]

    def sources(self) -> tuple[str, ...]:
        return self.result.estimate.provenance

    def picture(self) -> CostPicture:
        return CostPicture()


class CostPicture(Picture):
    """Left: four gauges. Right: the share of the MACs beside the share of the time, by kind of layer."""

    size = (7.2, 4.4)
    alt = "Latency, energy, RAM and flash on logarithmic scales; share of MACs and share of time of each kind of layer."

    def build(self, figure):
        seconds = {1e-4: "0.1 ms", 1e-3: "1", 1e-2: "10", 1e-1: "100", 1: "1 s", 10: "10", 100: "100"}
        joules = {1e-6: "1 µJ", 1e-5: "10", 1e-4: "100", 1e-3: "1 mJ", 1e-2: "10", 1e-1: "100", 1: "1 J"}
        bytes_ = {2**10: "1 KiB", 2**14: "16", 2**18: "256", 2**22: "4 MiB", 2**26: "64"}
        places = [(0.04, 0.805 - 0.238 * row, 0.5, 0.105) for row in range(4)]
        self.latency = PointGauge(figure, places[0], "latency of one inference", seconds)
        self.energy = PointGauge(figure, places[1], "energy of one inference", joules)
        self.ram = BarGauge(figure, places[2], "RAM (line: what the device has)", bytes_)
        self.flash = BarGauge(figure, places[3], "flash (line: what the device has)", bytes_)
        bars = figure.add_axes((0.715, 0.09, 0.255, 0.76), xlim=(0, 100), ylim=(len(KINDS) - 0.5, -0.5))
        bars.set_xticks([0, 50, 100], ["0", "50", "100%"])
        bars.set_yticks(range(len(KINDS)), KINDS)
        bars.tick_params(labelsize=9, length=0)
        bars.spines["left"].set_visible(False)
        self.macs = list(bars.barh([i - 0.19 for i in range(len(KINDS))], 1, height=0.34, color=OTHER))
        self.time = list(bars.barh([i + 0.19 for i in range(len(KINDS))], 1, height=0.34, color=OURS))
        names = ["share of the MACs", "share of the time"]
        square = {"handlelength": 1, "handleheight": 1}
        bars.legend([self.macs[0], self.time[0]], names, loc="lower left", bbox_to_anchor=(-0.03, 0.985), **square)
        (self.ghosts,) = bars.plot([], [], "|", ms=11, mew=2.5, color=GHOST, clip_on=False)
        gauge_artists = [artist for gauge in (self.latency, self.energy, self.ram, self.flash) for artist in gauge.moving]
        return [*gauge_artists, *self.macs, *self.time, self.ghosts]

    def update(self, result: CostResult, ghost: CostResult | None) -> None:
        now, before = result.estimate, ghost and ghost.estimate
        self.latency.set(now.latency_ms * 1e-3, before and before.latency_ms.mid / 1e3, quantity(now.latency_ms.mid / 1e3, "s"))
        self.energy.set(now.energy_uj * 1e-6, before and before.energy_uj.mid / 1e6, quantity(now.energy_uj.mid / 1e6, "J"))
        self.ram.set(now.ram_bytes, before and before.ram_bytes, memory(now.ram_bytes), result.ram_limit)
        self.flash.set(now.flash_bytes, before and before.flash_bytes, memory(now.flash_bytes), result.flash_limit)
        for macs, time, shares in zip(self.macs, self.time, result.shares().values(), strict=True):
            macs.set_width(100 * shares[0])
            time.set_width(100 * shares[1])
        before = list(ghost.shares().values()) if ghost else []
        marks = [(100 * share, i + side) for i, pair in enumerate(before) for share, side in zip(pair, (-0.19, 0.19), strict=True)]
        self.ghosts.set_data([x for x, _ in marks if x > 1], [y for x, y in marks if x > 1])
