"""MPIC: what the device says against the published figures. The table is its only input, so the first two rows must be exact: they
tell that it is applied as meant, not that it is true."""

from __future__ import annotations

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.mpic import MPIC
from labkit.hardware.reference import reference
from labkit.hardware.validation.row import Case, Row, summarise
from labkit.workload import WEIGHTED, Layer, Workload

BITS = (8, 4, 2)
KWS_MS, KWS_UJ = 5.06, 27.2  # by hand: MACs of DS-CNN over the table in 8 bits, times 5.3825 mW, to three digits


def rows() -> list[Row]:
    return [
        summarise("MPIC", "latency", "published table, nine formats", format_cases(), at_most=1e-6),
        summarise("MPIC", "latency and energy", "worked by hand, DS-CNN in 8 bits", example_cases(), at_most=0.2),
        summarise("MPIC", "energy", "published pair of time and energy", [pair_case()], at_most=5.0),
    ]


def format_cases() -> list[Case]:
    """Cycles of one layer of 294,912 MACs in each format; the baseline is the mean pace of the other formats."""
    device, throughput = MPIC(), load("mpic")["mac_per_cycle"]
    macs = one_layer(8, 8).macs
    published = {(a, w): macs / throughput[f"a{a}w{w}"].value for a in BITS for w in BITS}
    cases = []
    for (activations, weights), cycles in published.items():
        predicted = device.estimate(one_layer(weights, activations)).latency_ms.mid * device.clock_mhz * 1e3
        others = [value for bits, value in published.items() if bits != (activations, weights)]
        baseline = float(np.exp(np.mean(np.log(others))))
        cases.append(Case(f"{activations}-bit activations, {weights}-bit weights", cycles, predicted, baseline))
    return cases


def example_cases() -> list[Case]:
    """The layers with weights alone: the published model prices nothing else."""
    device = MPIC()
    ms = sum(cost.latency_ms for cost in device.estimate(reference("kws")).layers if cost.op in WEIGHTED)
    return [Case("DS-CNN, ms", KWS_MS, ms), Case("DS-CNN, µJ", KWS_UJ, ms * device.power_mw)]


def pair_case() -> Case:
    """Energy of whatever takes the published time."""
    pair = load("mpic")["published"]
    return Case("human activity, 9 µs", pair["har_uj"].value, MPIC().power_mw * pair["har_us"].value / 1e3)


def one_layer(weight_bits: int, activation_bits: int) -> Workload:
    """A 3x3 convolution from 16 to 32 channels on 8x8 positions.

    >>> one_layer(4, 8).macs
    294912
    """
    layer = Layer("conv", "conv", ("input",), (16, 8, 8), (32, 8, 8), (3, 3), (1, 1), (1, 1), weight_bits=weight_bits)
    return Workload("one layer", (16, 8, 8), (layer,), input_bits=activation_bits)
