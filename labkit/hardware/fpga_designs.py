"""Published FPGA designs: networks, foldings, what the tools reported and what was measured (`catalog/fpga_designs.csv`)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from labkit.hardware import fpga_resources as resources
from labkit.hardware.catalog import load, read_csv
from labkit.hardware.fpga_pipeline import Timing, timing
from labkit.hardware.fpga_stage import Stage, stages
from labkit.hardware.reference import NAMES, reference
from labkit.workload import Layer, Workload


@dataclass(frozen=True)
class Fold:
    """PE · SIMD multipliers of one layer, and whether the source says that they are DSP slices (None: it does not say)."""

    pe: int
    simd: int
    on_dsp: bool | None = None

    @classmethod
    def read(cls, text: str) -> Fold:
        """
        >>> Fold.read("4x9/dsp")
        Fold(pe=4, simd=9, on_dsp=True)
        """
        factors, _, kind = text.partition("/")
        return cls(*(int(factor) for factor in factors.split("x")), {"dsp": True, "lut": False, "": None}[kind])


@dataclass(frozen=True)
class Design:
    """One design on one board. NaN where nothing was published."""

    name: str
    flow: str
    board: str
    network: str
    bits: str  # weights/activations/input
    clock_mhz: float
    folding: tuple[tuple[str, Fold], ...]
    latency_ms: float
    power_mw: float
    energy_uj: float
    lut: float
    dsp: float
    bram36: float
    shell: bool  # whether the resources include the board's interface

    @cached_property
    def workload(self) -> Workload:
        weights, activations, inputs = (int(part) for part in self.bits.split("/"))
        network = reference(self.network) if self.network in NAMES else published_network(self.network)
        return dataclasses.replace(network.with_bits(weights, activations), input_bits=inputs)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return stages(self.workload)

    @property
    def multiplying(self) -> list[tuple[Stage, Fold]]:
        """The stages with weights and how they are folded."""
        folds = dict(self.folding)
        return [(one, folds[one.name]) for one in self.stages if one.dot]

    def timing(self, drain_cycles: float) -> Timing:
        """When the stages start and end; `drain_cycles` come on top of every position."""
        cycles = {one.name: one.products / (fold.pe * fold.simd) + drain_cycles for one, fold in self.multiplying}
        per_position = np.array([cycles.get(one.name, 0) for one in self.stages])
        return timing(self.workload, self.stages, per_position, resources.flow(self.flow))

    def predicted_dsp(self) -> float:
        tool, plain = resources.flow(self.flow), load("fpga")["plain_dsp"]
        multiplying = sum(resources.dsp(one, fold.pe, fold.simd, tool, fold.on_dsp) for one, fold in self.multiplying)
        return float(multiplying + sum(plain[one.op].value for one in self.stages if one.op in plain))

    def lut_terms(self) -> np.ndarray:
        """What the LUT coefficients count (see `fpga_resources.lut_terms`), summed over the stages, and the shell: ``(6,)``."""
        tool = resources.flow(self.flow)
        terms = sum(resources.lut_terms(one, fold.pe, fold.simd, tool, fold.on_dsp) for one, fold in self.multiplying)
        terms[-1] += sum(one.op in resources.PLAIN_STAGES for one in self.stages)
        return np.append(terms, float(self.shell))

    def memory_blocks(self) -> float:
        """36-kbit blocks of weights and line buffers, before rounding losses and queues."""
        tool = resources.flow(self.flow)
        return float(sum(resources.half_blocks_of(one, fold.pe, fold.simd, tool) for one, fold in self.multiplying)) / 2

    def __str__(self) -> str:
        return f"{self.network}, {self.name} {self.board}"


@cache
def designs() -> tuple[Design, ...]:
    """All designs of the catalog.

    >>> [design.network for design in designs()][:3]
    ['kws', 'kws', 'kws']
    """
    numbers = ("clock_mhz", "latency_ms", "power_mw", "energy_uj", "lut", "dsp", "bram36")
    return tuple(
        Design(
            name=row["design"],
            **{key: row[key] for key in ("flow", "board", "network", "bits")},
            **{key: float(row[key] or "nan") for key in numbers},
            folding=tuple((name, Fold.read(text)) for name, _, text in (part.partition("=") for part in row["folding"].split())),
            shell=row["shell"] == "1",
        )
        for row in read_csv("fpga_designs")
    )


@cache
def published_network(name: str) -> Workload:
    """A network of `catalog/fpga_networks.csv`.

    >>> published_network("ad08").macs
    20736
    """
    numbers = lambda text: tuple(int(part) for part in text.split("x")) if text else ()  # noqa: E731
    shapes = ("in_shape", "out_shape", "kernel", "stride")
    layers = tuple(
        Layer(row["name"], row["op"], (row["inputs"],), *(numbers(row[key]) for key in shapes))
        for row in read_csv("fpga_networks")
        if row["network"] == name
    )
    return Workload(name, layers[0].in_shape, layers)
