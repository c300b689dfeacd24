"""MPIC: a RISC-V core that multiplies 2-, 4- and 8-bit numbers in any combination (Ottavi et al., arXiv 2010.04073).

    cycles = MACs · mean over output channels of  1 / throughput(activation bits, weight bits of the channel)
    energy = power · time

Throughput is a table of nine published figures. A channel of 0 bits is pruned and free. Narrow weights alone buy little: at 8-bit
activations, going from 8 to 2 bits saves 16 % of the cycles; at 2-bit activations it saves 66 %.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import plain_cycles
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.layer_table import LayerTable
from labkit.workload import FRONT_END, PLAIN, WEIGHTED

WIDTHS = np.array([0, 2, 2, 4, 4, 8, 8, 8, 8])  # WIDTHS[bits]: the width that the core has for so many bits


@cache
def cycles_per_mac() -> np.ndarray:
    """Row: activation bits, 0 to 8. Column: weight bits, 0 to 8. A width that the core lacks runs as the next wider one.

    >>> cycles_per_mac()[8, [0, 2, 3, 4, 8]].round(3).tolist()
    [0.0, 0.4, 0.435, 0.435, 0.476]
    """
    throughput = load("mpic")["mac_per_cycle"]
    cycles = np.zeros((len(WIDTHS), len(WIDTHS)))
    for activation in range(1, len(WIDTHS)):
        for weight in range(1, len(WIDTHS)):
            cycles[activation, weight] = 1 / throughput[f"a{WIDTHS[activation]}w{WIDTHS[weight]}"].value
    return cycles


class MPIC(Device):
    """One core at 250 MHz. It runs from one memory: what counts as RAM is code, weights and activations together.

    A pruned channel saves its own cycles; those of the layers that read it are saved when they are built without it.

    >>> from labkit.hardware.reference import reference
    >>> kws = reference("kws")
    >>> [round(MPIC().estimate(kws.with_bits(b)).latency_ms.mid, 2) for b in (8, 4, 2)]
    [5.13, 3.11, 1.71]
    """

    name, family, title = "mpic", "MPIC", "MPIC, a RISC-V core with 2-, 4- and 8-bit SIMD"

    def __init__(self):
        constants = load("mpic")
        self.capacity = dict.fromkeys(("flash_bytes", "ram_bytes"), constants["memory"]["l2_bytes"].value)
        self.clock_mhz = constants["clock"]["mhz"].value
        self.power_mw = float(np.mean([power.value for power in constants["power"].values()]))

    def price(self, table: LayerTable) -> Prices:
        constants = load("mpic")
        latency_ms = self._cycles(table) / (self.clock_mhz * 1e3)
        energy_uj = latency_ms * self.power_mw * within(constants["power_uncertainty"]["factor"].value)
        flash = constants["memory"]["runtime_bytes"].value + table.total(_stored_bytes(table))
        ram = flash + table.peak_activation_bytes
        return Prices(latency_ms, energy_uj, {"flash_bytes": flash, "ram_bytes": ram})

    def _cycles(self, table: LayerTable) -> np.ndarray:
        """Low, mid and high cycles of each layer, ``(layers, 3)``."""
        self.refuse_wider(table, 8, "its table of products ends at 8 bits")
        bits = np.where(table.op_is(*WEIGHTED), table.input_bits, 8)
        shares = table.channel_shares[:, : len(WIDTHS)]
        cycles = table["macs"] * table.op_is(*WEIGHTED) * np.sum(shares * cycles_per_mac()[bits], axis=1)
        spread = {name: quantity.value for name, quantity in load("mpic")["uncertainty"].items()}
        high = np.where(table.op_is("depthwise"), spread["depthwise_high"], spread["dense_high"])
        return np.column_stack([cycles * spread["low"], cycles, cycles * high]) + plain_cycles(table)

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        sentences = [
            "Latency: MACs over a published table of MAC/cycle by activation and weight bits (PLiNIO, after arXiv 2010.04073), "
            f"{self.clock_mhz:g} MHz.",
            "Interval: assumed; the table has one figure a format, whatever the layer's shape.",
            f"Energy: {self.power_mw:.5g} mW (mean of four published powers) × time.",
            "Memory: RAM holds everything, the weights at the widths that the core has; its size, and "
            f"{load('mpic')['memory']['runtime_bytes'].value:,} bytes of code, are assumed.",
        ]
        if table.op_is("depthwise").any():
            sentences.append("Estimated: depthwise layers use the table of dense ones; they may take five times as long.")
        if not np.isin(table.channel_shares.nonzero()[1], WIDTHS).all() or not np.isin(table.input_bits, WIDTHS).all():
            sentences.append(
                "Widths that the core does not have run, and weights are stored, at the next wider one of 2, 4 and 8 bits."
            )
        assumed = {"the front end": FRONT_END, "pooling, additions and other plain layers": PLAIN}
        names = [name for name, ops in assumed.items() if table.op_is(*ops).any()]
        if names:
            sentences.append(f"Assumed: {', '.join(names)} take as many cycles as on a Cortex-M4 (no published table).")
        return tuple(sentences)


def _stored_bytes(table: LayerTable) -> np.ndarray:
    """Bytes of weights and biases, ``(layers,)``, with each weight as wide as the core reads it."""
    bits = np.arange(len(WIDTHS))
    rounding = table.channel_shares[:, : len(WIDTHS)] @ (WIDTHS - bits)  # bits added to an average weight
    return np.ceil(table["weight_bytes"] + table["weights"] * rounding / 8)


DEVICES = {MPIC.name: MPIC}
