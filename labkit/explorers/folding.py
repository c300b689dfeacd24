"""Folding: how many multipliers each layer of a network gets on an FPGA, and what latency and chip area come of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import labkit
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting
from labkit.explorers.picture import Picture
from labkit.explorers.units import quantity, span
from labkit.hardware import fpga
from labkit.hardware.fpga import FPGA, Pipeline, PipelineStage
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.reference import reference
from labkit.workload import Workload

NETWORKS: dict[str, Callable[[], Workload]] = {
    "keywords (DS-CNN)": lambda: reference("kws"),
    "images (ResNet-8)": lambda: reference("ic"),
    "persons (MobileNet)": lambda: reference("vww"),
    "machine sounds": lambda: reference("ad"),
    "motion (1-D CNN)": families.har_cnn,
}
KEYWORDS = next(iter(NETWORKS))
BALANCED, UNIFORM = "one interval for all", "one reuse factor for all"
INTERVALS = tuple(2**power for power in range(7, 23))  # cycles that a stage may take
REUSES = tuple(2**power for power in range(15))  # cycles that a stage may spend on one position
NAMES = {"dsp": "DSP slices", "lut": "LUTs", "bram36": "block RAMs"}


@cache
def device(board: str, flow: str, reuse: int | None = None) -> FPGA:
    return FPGA(board, flow=flow, folding=reuse)


@cache
def workload(network: str, bits: int) -> Workload:
    """The network with weights and activations of so many bits; what comes in from outside keeps 8."""
    return dataclasses.replace(NETWORKS[network]().with_bits(bits), input_bits=8)


@cache
def fastest(network: str, bits: int, board: str, flow: str) -> Pipeline:
    return device(board, flow).pipeline(workload(network, bits))


@dataclass(frozen=True, eq=False)
class FoldingResult:
    """A network folded, its price as an estimate, and the fastest folding of it that fits."""

    network: str
    macs: int
    pipeline: Pipeline
    latency_us: labkit.Interval
    energy_uj: labkit.Interval  # of the whole board
    best: Pipeline

    @property
    def stages(self) -> tuple[PipelineStage, ...]:
        """The stages that multiply."""
        return tuple(one for one in self.pipeline.stages if one.multipliers)

    @property
    def multipliers(self) -> int:
        return sum(one.multipliers for one in self.stages)

    @property
    def sum_us(self) -> float:
        """Microseconds, did the stages work one after the other."""
        return sum(one.busy for one in self.pipeline.stages) / self.pipeline.clock_mhz + self.pipeline.host_us


class FoldingExplorer(Explorer):
    """A network as a pipeline on an FPGA. `cycles` is what a stage may take for an inference, or for a position of its output.

    >>> explorer = FoldingExplorer(cycles=16384)
    >>> explorer.fits, explorer.result.pipeline.interval_cycles <= 16384
    (True, True)
    """

    network = Setting(KEYWORDS, "network", tuple(NETWORKS), control="menu")
    board = Setting("pynq-z2", "board", tuple(fpga.DEVICES), control="menu")
    flow = Setting("finn", "style", fpga.FLOWS, control="menu")
    fold = Setting(BALANCED, "folding", (BALANCED, UNIFORM), control="menu")
    cycles = Setting(16384, "cycles ≤", lambda explorer: INTERVALS if explorer.fold == BALANCED else REUSES, show="{:,}".format)
    bits = Setting(8, "bits", (1, 2, 3, 4, 6, 8))

    def follow(self, name: str) -> None:
        """Another way of folding counts other cycles: it starts in the middle."""
        if name == "fold" and self.cycles not in self.settings()["cycles"].choices(self):
            self.cycles = REUSES[8] if self.fold == UNIFORM else INTERVALS[7]

    def compute(self) -> FoldingResult:
        net, priced = workload(self.network, self.bits), self._device()
        pipeline = priced.pipeline(net, target_cycles=self.cycles if self.fold == BALANCED else None)
        ends = {name: labkit.Interval(low, 1.0, high) for name, (low, high) in priced.spread.items()}
        return FoldingResult(
            network=self.network,
            macs=net.macs,
            pipeline=pipeline,
            latency_us=pipeline.latency_us * ends["latency"],
            energy_uj=pipeline.latency_us * priced.power_mw / 1e3 * ends["energy"],
            best=fastest(self.network, self.bits, self.board, self.flow),
        )

    @property
    def fits(self) -> bool:
        return not self.problem and self.result.pipeline.fits

    def say(self) -> str:
        r, p = self.result, self.result.pipeline
        if p.fits:
            slowest = f"{p.bottleneck.name} takes longest, with {p.bottleneck.multipliers:,} of {r.multipliers:,} multipliers"
            times = f"{seconds(p.latency_us)} latency, an answer every {seconds(p.interval_us)}"
            return f"Fits: {times}. {slowest}. {quantity(r.energy_uj.mid / 1e6, 'J')} an inference, of the whole board."
        lacks = " and ".join(f"{count:,} {NAMES[name]}" for name, count in p.missing.items())
        best = f"the fastest that fits gives an answer every {seconds(r.best.interval_us)}"
        return f"Does not fit: {p.device} lacks {lacks}; {best if r.best.fits else 'however it is folded, it does not fit'}."

    def rows(self, r: FoldingResult) -> list[tuple[str, str]]:
        p = r.pipeline
        return [
            ("work", quantity(r.macs, "MAC")),
            ("multipliers", f"{r.multipliers:,}"),
            ("interval", seconds(p.interval_us)),
            ("latency", seconds(p.latency_us)),
            ("80% interval", span(r.latency_us.low / 1e6, r.latency_us.high / 1e6, "s")),
            ("one by one", seconds(r.sum_us)),
            ("slowest", p.bottleneck.name),
            ("energy (board)", quantity(r.energy_uj.mid / 1e6, "J")),
            *((NAMES[name], f"{p.needs[name]:,}") for name in NAMES),
            ("fastest fit", seconds(r.best.interval_us) if r.best.fits else "none"),
        ]

    def sources(self) -> tuple[str, ...]:
        return self._device().provenance(LayerTable.of([workload(self.network, self.bits)]))

    def _device(self) -> FPGA:
        return device(self.board, self.flow, None if self.fold == BALANCED else self.cycles)

    def picture(self) -> Picture:
        from labkit.explorers.folding_picture import FoldingPicture

        return FoldingPicture()


def seconds(microseconds: float) -> str:
    return quantity(microseconds / 1e6, "s")
