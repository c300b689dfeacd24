"""What binary layers cost on a Cortex-M: 32 products are two loads, one xor and a popcount of a dozen instructions.

A Cortex-M has no popcount instruction; bits are counted by adding neighbours in parallel (Warren, Hacker's Delight, section 5-1).
Nobody's measurement is at hand, so the cycles are counted by hand and the interval is wide.
"""

from __future__ import annotations

import dataclasses
import math

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import CortexM
from labkit.hardware.estimate import Estimate, Interval, LayerCost
from labkit.workload import INPUT, WEIGHTED, Layer, Workload

WORD = 32


def binary_layers(workload: Workload) -> set[str]:
    """Names of the layers whose weights and inputs both have 1 bit: binary weights alone leave nothing to xor them with.

    >>> fc = Layer("fc", "linear", ("input",), (64,), (12,), weight_bits=1)
    >>> [binary_layers(Workload("tiny", (64,), (fc,), input_bits=bits)) for bits in (1, 8)]
    [{'fc'}, set()]
    """
    bits = {INPUT: workload.input_bits} | {layer.name: layer.activation_bits for layer in workload.layers}
    return {
        layer.name
        for layer in workload.layers
        if layer.op in WEIGHTED and layer.weight_bits == 1 and all(bits[source] == 1 for source in layer.inputs)
    }


def cycles(layer: Layer) -> float:
    """Cycles of one binary layer on a Cortex-M4.

    >>> cycles(Layer("conv", "conv", ("input",), (64, 10, 10), (64, 8, 8), kernel=(3, 3), weight_bits=1))   # 18 words an output
    1228800.0
    """
    costs = load("popcount")["kernel"]
    words = math.ceil(layer.weights_per_channel / WORD)
    return layer.out_elements * float(costs["cycles_per_word"].value * words + costs["cycles_per_output"].value)


def estimate(board: CortexM, network: Workload) -> Estimate:
    """`network` on `board` with its binary layers as popcounts; the other layers, and memory, are what the board says.

    Raises ValueError when there is no binary layer.
    """
    binary = binary_layers(network)
    if not binary:
        raise ValueError(f"{network.name} has no layer with weights and inputs of 1 bit; price it with device.estimate(workload)")
    whole = board.estimate(network)
    rest = tuple(dataclasses.replace(layer, inputs=(INPUT,)) for layer in network.layers if layer.name not in binary)
    others = board.estimate(dataclasses.replace(network, layers=rest)) if rest else None
    factor = load("popcount")["kernel"]["uncertainty_factor"].value
    scale = load("cortex_m")["cores"][board.core]["elementwise_scale"].value
    layers = tuple(
        _cost(board, layer, scale) if layer.name in binary else cost
        for layer, cost in zip(network.layers, whole.layers, strict=True)
    )
    popcounts = [cost for layer, cost in zip(network.layers, layers, strict=True) if layer.name in binary]
    latency = Interval.within(sum(cost.latency_ms for cost in popcounts), factor)
    energy = Interval.within(sum(cost.energy_uj for cost in popcounts), factor)
    return dataclasses.replace(
        whole,
        latency_ms=latency + others.latency_ms if others else latency,
        energy_uj=energy + others.energy_uj if others else energy,
        layers=layers,
        provenance=(
            f"Binary layers as xor and popcount: {load('popcount')['kernel']['cycles_per_word']}.",
            *(others.provenance if others else ()),
        ),
    )


def _cost(board: CortexM, layer: Layer, scale: float) -> LayerCost:
    latency_ms = cycles(layer) * scale / (board.clock_mhz * 1e3)
    return LayerCost(layer.name, layer.op, layer.macs, latency_ms, latency_ms * board.power_mw)
