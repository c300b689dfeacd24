"""FPGA dataflow: published designs, each predicted from designs that differ in network or folding.

The pipeline equation has no coefficient. What is fitted (the host's time, hls4ml's time on top of a position, LUTs of adders, …)
comes from the other designs; the same network and folding on another board counts as the same design.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware import fpga_fitting
from labkit.hardware.fpga_designs import Design
from labkit.hardware.validation.row import Case, Row, rank_correlation, summarise

LEAVE_ONE_OUT = "leave one design out"


def rows() -> list[Row]:
    latency = cases("latency_ms", baseline=True)
    dsp = [Case(str(d), d.dsp, d.predicted_dsp()) for d in fpga_fitting.measured("dsp") if d.flow == "fpgaconvnet"]
    return [
        summarise("FPGA", "latency", LEAVE_ONE_OUT, latency, at_most=15.0, rank=rank_correlation(latency)),
        summarise("FPGA", "energy of the board", LEAVE_ONE_OUT, cases("energy_uj"), at_most=15.0),
        summarise("FPGA", "DSP slices", "as folded; pooling and additions fitted", dsp, at_most=2.0),
        summarise("FPGA", "LUTs", LEAVE_ONE_OUT, cases("lut"), at_most=25.0),
        summarise("FPGA", "block RAMs", LEAVE_ONE_OUT, cases("bram36"), at_most=35.0),
    ]


def cases(quantity: str, baseline: bool = False) -> list[Case]:
    """Held-out predictions; the width of each interval comes from the errors of the other designs."""
    pairs = fpga_fitting.held_out(quantity)
    result = []
    for design, predicted in pairs:
        others = [(other, value) for other, value in pairs if not fpga_fitting.same(other, design)]
        low, high = fpga_fitting.factors(others, quantity)
        alone = macs_only([other for other, _ in others], design) if baseline else None
        result.append(Case(str(design), getattr(design, quantity), predicted, alone, low * predicted, high * predicted))
    return result


def macs_only(known: list[Design], design: Design) -> float:
    """Milliseconds, had every design the same number of MACs a cycle."""
    return _scaled(known, design, lambda one: one.workload.macs)


def sum_only(known: list[Design], design: Design) -> float:
    """Milliseconds as a fixed share of the sum of the layers' cycles: what a pipeline looks like to one who ignores its shape."""
    return _scaled(known, design, lambda one: float(one.timing(0.0).busy.sum()))


def _scaled(known: list[Design], design: Design, work) -> float:
    pace = np.exp(np.mean([np.log(one.latency_ms * one.clock_mhz / work(one)) for one in known]))
    return float(pace * work(design) / design.clock_mhz)
