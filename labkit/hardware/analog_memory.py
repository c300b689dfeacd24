"""Computing in phase-change memory: an array multiplies and adds where the weights lie; converters decide what it costs.

    energy  = 2 · MACs / (operations per joule)           published for two networks and three converter widths (AnalogNets)
    latency = positions · ⌈rows / 1024⌉ · ⌈columns / 128⌉ · time of one product
    cells   = rows · columns                               a row for each weight of an output channel, a column for each channel

A depthwise layer wastes the array: each of its channels reads k·k inputs of its own, so its weights stand on the diagonal of a
block as wide as the layer. All of the block's cells are taken and driven, one in `channels` holds a weight. (AnalogNets leaves
depthwise layers out for that reason.) How accurate the result is, and for how long: `labkit.analog`.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import elementwise_cycles, front_end_cycles
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.pcm import constants
from labkit.workload import FRONT_END, PLAIN, WEIGHTED, Layer, positions


def adc_bits() -> tuple[int, ...]:
    """The converter widths with published figures."""
    return tuple(int(bits) for bits in load("pcm")["tops_per_watt"])


class PCMComputeInMemory(Device):
    """AON-CiM: one array of phase-change memory, 14 nm, that works off a network layer by layer. Weights never move.

    `adc_bits` is the width of its converters, 8, 6 or 4; they cost most of the energy. Standby is not included.

    >>> from labkit.hardware.reference import reference
    >>> [round(PCMComputeInMemory(bits).estimate(reference("ad")).energy_uj.mid, 3) for bits in (8, 6, 4)]
    [0.087, 0.029, 0.014]
    """

    name, family, title = "pcm-cim", "analog PCM", "AON-CiM, computing in phase-change memory"

    def __init__(self, adc_bits: int = 8):
        figures = load("pcm")["tops_per_watt"]
        if str(adc_bits) not in figures:
            raise ValueError(f"no figures for converters of {adc_bits} bits; known: {', '.join(figures)}")
        self.adc_bits, array, memory = adc_bits, constants("array"), constants("memory")
        self.rows, self.columns = int(array["rows"]), int(array["columns"])
        self.converters = self.columns // int(array["columns_per_adc"])
        self.product_ms = load("pcm")["product_ns"][str(adc_bits)].value / 1e6
        self.capacity = {
            "crossbar_cells": self.rows * self.columns,
            "flash_bytes": memory["digital_bytes"],
            "ram_bytes": memory["activation_bytes"],
        }

    def price(self, table: LayerTable) -> Prices:
        wide = table.op_is(*WEIGHTED) & (table.input_bits > 8)
        self.refuse(table, wide, "its converters end at 8 bits; quantize the activations first (Workload.with_bits(8))")
        cycles = elementwise_cycles(table, "M4") + front_end_cycles(table, "M4")
        digital = constants("digital")
        spread = within(digital["uncertainty_factor"])
        latency_ms = self._product_ms(table)[:, None] * within(constants("latency_uncertainty")["factor"])
        latency_ms += (cycles / (digital["clock_mhz"] * 1e3))[:, None] * spread
        energy_uj = self._analog_uj(table) + (cycles * digital["energy_pj_per_cycle"] / 1e6)[:, None] * spread
        channels = table.column(_channels) * table["kept"]
        needs = {
            "crossbar_cells": table.total(cells(table)),
            "flash_bytes": table.total(channels * constants("memory")["channel_bytes"]),
            "ram_bytes": table.peak_activation_bytes,
        }
        return Prices(latency_ms, energy_uj, needs)

    def _product_ms(self, table: LayerTable) -> np.ndarray:
        """Time in the array, ``(rows,)``: a layer of more rows or columns than there are takes turns."""
        turns = np.ceil(crossbar_rows(table) / self.rows) * np.ceil(table.column(_channels) * table["kept"] / self.converters)
        return table.column(_positions) * turns * self.product_ms

    def _analog_uj(self, table: LayerTable) -> np.ndarray:
        """Energy in the array, ``(rows, 3)``. Published networks have no empty cells; those of a block cost as much, or nothing."""
        pj_per_mac = 2 / np.array([quantity.value for quantity in load("pcm")["tops_per_watt"][str(self.adc_bits)].values()])
        factor = constants("energy_uncertainty")["factor"]
        low, mid, high = pj_per_mac.min() / factor, np.sqrt(pj_per_mac.prod()), pj_per_mac.max() * factor
        useful = table["macs"] * table.op_is(*WEIGHTED) * table["kept"]
        driven = useful * table.column(_groups)
        return np.column_stack([useful * low, driven * mid, driven * high]) / 1e6

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        figures = load("pcm")["tops_per_watt"][str(self.adc_bits)]
        published = f"{figures['people'].value:g} to {figures['keywords'].value:g} TOPS/W"
        sentences = [
            f"Energy: two operations a MAC at {published}, published for two networks with {self.adc_bits}-bit converters "
            f"(AnalogNets), and a factor of {constants('energy_uncertainty')['factor']:g} beyond both; standby is not included.",
            f"Assumed: an array of {self.rows} × {self.columns} cells, {self.converters} converters, one product in "
            f"{self.product_ms * 1e6:g} ns; blocks of layers are packed without gaps.",
        ]
        if np.any((table.column(_groups) > 1) & table.op_is(*WEIGHTED)):
            share = table["weights"] @ (table["kept"] * table.op_is(*WEIGHTED)) / max(cells(table).sum(), 1)
            sentences.append(f"Depthwise and grouped layers fill their blocks with zeros: {share:.0%} of the cells hold a weight.")
        if (table.op_is(*WEIGHTED) & (table.input_bits > self.adc_bits)).any():
            sentences.append(f"Activations of more than {self.adc_bits} bits are rounded by the converters.")
        if table.op_is(*FRONT_END, *PLAIN).any():
            sentences.append(
                "Assumed: the front end, pooling, additions and other plain layers run on a core of "
                f"{constants('digital')['clock_mhz']:g} MHz in as many cycles as on a Cortex-M4."
            )
        return tuple(sentences)


def crossbar_rows(table: LayerTable) -> np.ndarray:
    """Rows of the array that each layer drives, ``(rows,)``: the weights of one output channel, times the groups."""
    return table["dot_length"] * table.column(_groups)


def cells(table: LayerTable) -> np.ndarray:
    """Cells that each layer takes, ``(rows,)``; a pruned channel has no column."""
    return crossbar_rows(table) * table.column(_channels) * table["kept"] * table.op_is(*WEIGHTED)


def utilisation(layer: Layer) -> float:
    """Share of the cells a layer takes that hold a weight.

    >>> utilisation(Layer("dw", "depthwise", ("input",), (64, 25, 5), (64, 25, 5), (3, 3), (1, 1), (1, 1), groups=64))
    0.015625
    """
    return 1 / layer.groups


def _groups(layer: Layer) -> int:
    return layer.groups


def _channels(layer: Layer) -> int:
    return layer.out_channels if layer.op in WEIGHTED else 0


def _positions(layer: Layer) -> int:
    return positions(layer.out_shape) if layer.op in WEIGHTED else 0


DEVICES = {PCMComputeInMemory.name: PCMComputeInMemory}
