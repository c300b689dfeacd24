"""A network as a circuit: every layer its own hardware on an FPGA, in the style of FINN or of hls4ml.

Latency is that of the pipeline (`fpga_pipeline`) at the board's clock, plus what the host takes to start it. Energy is the power of
the *whole board* times latency: measured at the USB plug, with processor, memory chips and regulators, not at the FPGA.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from labkit.hardware import fpga_folding, fpga_resources
from labkit.hardware.catalog import load
from labkit.hardware.device import Device, Prices
from labkit.hardware.fpga_folding import Folding
from labkit.hardware.fpga_pipeline import Timing, timing
from labkit.hardware.fpga_resources import BLOCK_BYTES, RESOURCES
from labkit.hardware.fpga_stage import Stage, stages
from labkit.hardware.layer_table import LayerTable
from labkit.naming import did_you_mean
from labkit.workload import FRONT_END, Workload

FLOWS = ("finn", "hls4ml")
FREE = ("softmax", "activation", "norm")
WIDEST = 16  # bits: wider numbers take several DSP slices a product


@dataclass(frozen=True)
class PipelineStage:
    """One layer in the pipeline: its multipliers, its cycles and what it takes from the chip."""

    name: str
    op: str
    pe: int
    simd: int
    reuse: int  # cycles a position spends multiplying
    busy: float  # cycles in all
    start: float  # when the first position has all its inputs
    first: float  # when the first position is done
    end: float
    dsp: float
    lut: float
    bram36: float

    @property
    def multipliers(self) -> int:
        return self.pe * self.simd


@dataclass(frozen=True)
class Pipeline:
    """A network on an FPGA: when each stage works, and what all take together."""

    model: str
    device: str
    flow: str
    clock_mhz: float
    stages: tuple[PipelineStage, ...]
    interval_cycles: float  # from one inference to the next
    latency_cycles: float  # from the first input to the last output
    host_us: float
    needs: dict[str, int]
    spread: dict[str, tuple[float, float]]  # between these factors of a need the truth lies eight times out of ten
    capacity: dict[str, int]

    @property
    def interval_us(self) -> float:
        return self.interval_cycles / self.clock_mhz

    @property
    def latency_us(self) -> float:
        return self.latency_cycles / self.clock_mhz + self.host_us

    @property
    def missing(self) -> dict[str, int]:
        """What lacks of each resource; empty when it fits."""
        return {name: need - self.capacity[name] for name, need in self.needs.items() if need > self.capacity[name]}

    @property
    def fits(self) -> bool:
        return not self.missing

    @property
    def bottleneck(self) -> PipelineStage:
        """The stage that takes longest: what to unfold next."""
        return max(self.stages, key=lambda one: one.busy)


class FPGA(Device):
    """`folding` is a reuse factor for all layers, or a dict of them; without one, the fastest folding that fits is searched.

    >>> from labkit.hardware.reference import reference
    >>> kws = reference("kws").with_bits(4)
    >>> pipeline = FPGA("pynq-z2").pipeline(kws)
    >>> pipeline.fits, pipeline.interval_cycles < pipeline.latency_cycles < sum(one.busy for one in pipeline.stages)
    (True, True)
    """

    family = "FPGA"
    reads_neighbours = True

    def __init__(self, name: str, flow: str = "finn", folding: int | dict[str, int] | None = None, clock_mhz: float | None = None):
        if flow not in FLOWS:
            raise ValueError(f"no flow {flow!r}; {did_you_mean(flow, FLOWS)}")
        constants, fitted = load("fpga"), load("fpga_fitted")
        board = constants["boards"][name]
        self.name, self.title, self.note, self.folding = name, board["title"], board["note"], folding
        self.flow = fpga_resources.flow(flow)
        self.clock_mhz = constants["clock"]["mhz"].value if clock_mhz is None else clock_mhz
        if not (isinstance(self.clock_mhz, (int, float)) and 0 < self.clock_mhz < math.inf):
            raise ValueError(f"the clock is {clock_mhz!r} MHz; give a number above 0, such as 100")
        self.chip = {resource: board[resource].value for resource in RESOURCES}
        memory = self.chip["bram36"] * BLOCK_BYTES
        self.capacity = {"flash_bytes": memory, "ram_bytes": memory, **self.chip}
        self.host_us, self.power_mw = fitted["host_us"][name].value, fitted["power_mw"][name].value
        ends = {name: quantity.value for name, quantity in fitted["interval"].items()}
        self.spread = {
            name: (ends.get(f"{name}_low", 1.0), ends.get(f"{name}_high", 1.0)) for name in ("latency", "energy", *RESOURCES)
        }
        self.drain_cycles = fitted["drain"][flow].value if flow in fitted["drain"] else 0.0

    def pipeline(self, workload: Workload, target_cycles: float | None = None) -> Pipeline:
        """The network as a pipeline. With `target_cycles`, every stage gets the fewest multipliers that meet it.

        Raises ValueError when a layer cannot be built.
        """
        self._check(LayerTable.of([workload]))
        if target_cycles is not None and not target_cycles > 0:
            raise ValueError(f"a target of {target_cycles} cycles cannot be met; give a number above 0")
        parts, folding, times = self._build(workload, target_cycles)
        moments = np.column_stack(
            [times.busy, times.start, times.first, times.end, folding["dsp"], folding["lut"], folding["bram36"]]
        )
        counts = np.column_stack([folding["pe"], folding["simd"], folding["reuse"]]).astype(int)
        return Pipeline(
            model=workload.name,
            device=self.name,
            flow=self.flow.name,
            clock_mhz=self.clock_mhz,
            stages=tuple(
                PipelineStage(one.name, one.op, *map(int, whole), *map(float, row))
                for one, whole, row in zip(parts, counts, moments, strict=True)
            ),
            interval_cycles=times.interval,
            latency_cycles=times.latency,
            host_us=self.host_us,
            needs={name: math.ceil(need) for name, need in folding.needs.items()},
            spread=self.spread,
            capacity=self.chip,
        )

    def price(self, table: LayerTable) -> Prices:
        self._check(table)
        shares, needs = [], []
        for workload in table.workloads:
            parts, folding, times = self._build(workload)
            until = np.maximum.accumulate(times.end)  # a layer's latency: how much later the answer comes because of it
            microseconds = np.diff(until, prepend=0.0) / self.clock_mhz
            microseconds[0] += self.host_us
            shares.append(microseconds)
            rows = sum(one.line_rows * one.line_width * one.channels * one.input_bits for one in parts) / 8
            needs.append({"flash_bytes": workload.weight_bytes, "ram_bytes": rows, **folding.needs})
        latency_ms = np.concatenate(shares) / 1e3
        ends = {name: np.array([low, 1.0, high]) for name, (low, high) in self.spread.items()}
        latency, energy = latency_ms[:, None] * ends["latency"], latency_ms[:, None] * self.power_mw * ends["energy"]
        return Prices(latency, energy, {name: np.array([need[name] for need in needs]) for name in self.capacity})

    def _build(self, workload: Workload, target_cycles: float | None = None) -> tuple[tuple[Stage, ...], Folding, Timing]:
        parts, tool, chip = stages(workload), self.flow, self.chip
        if target_cycles is not None:
            folding = fpga_folding.for_target(parts, target_cycles, tool, chip, self.drain_cycles)
        elif self.folding is not None:
            folding = fpga_folding.with_reuse(parts, fpga_folding.asked_reuse(parts, self.folding), tool, chip)
        else:
            reading = math.prod(workload.input_shape) / tool.elements_per_cycle
            folding = fpga_folding.fastest(parts, reading, tool, chip, self.drain_cycles)
        drains = self.drain_cycles * np.array([one.dot > 0 for one in parts])
        return parts, folding, timing(workload, parts, folding["reuse"] + drains, tool)

    def _check(self, table: LayerTable) -> None:
        self.refuse(
            table, table.op_is(*FRONT_END), "the circuit starts at the features; compute them on a processor, price the rest"
        )
        self.refuse_wider(table, WIDEST, f"a product takes {WIDEST} bits a factor at most")

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        lut, bram = ("{:.2g} to {:.2g}".format(*self.spread[name]) for name in ("lut", "bram36"))
        how = "folded as asked" if self.folding is not None else "folded for the smallest interval that fits"
        plain = [op for op in FREE if table.op_is(op).any()]
        counted = (
            (f"Assumed: {', '.join(plain)} keep up with the stage before and take no hardware worth counting.",) if plain else ()
        )
        return (
            f"Latency: a pipeline of one stage a layer, {how} ({self.flow.name} style), at {self.clock_mhz:g} MHz (assumed), "
            f"plus {self.host_us:.3g} µs of the host (fitted). Interval: errors on published designs, each left out in turn.",
            f"Energy: {self.power_mw / 1e3:.3g} W × latency. This is the whole BOARD, measured at its USB plug, NOT the FPGA chip: "
            "processor, memory chips and regulators draw most of it.",
            f"DSP slices follow from the folding. What Vivado reports is {lut} times these LUTs and {bram} times these block RAMs "
            "(80 % of published designs; equations of FINN-R, constants fitted): a design that fits narrowly may not.",
            "A layer's latency is how much later the answer comes because of it: 0 ms for a layer that keeps up with the others.",
            *counted,
            "Flash is the weights, RAM the rows that sliding windows keep; both lie in the FPGA's own memory, limited by bram36.",
            self.note,
        )


DEVICES = {name: partial(FPGA, name) for name in load("fpga")["boards"]}
