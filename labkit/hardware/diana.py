"""DIANA: a RISC-V core with two accelerators, a digital array of 16x16 and an analog in-memory array of 1152x512.

PLiNIO's equations; rows x cols is the output, k the kernel's elements, one group unless the layer is grouped:

    digital = ceil(C_out / groups / 16) · C_in · ceil(rows / 16) · cols · k + rows · cols · (C_in + C_out) / 8
    analog  = ceil(C_out / 512) · ceil(C_in / 128) · rows · cols / side_by_side · 70 ns + 8 C_in k

The analog array stores ternary weights: convolutions and linear layers of at most 2 bits run there, everything else in 8 bits on
the digital one. `side_by_side` output columns (1, 2, 4 or 8) are computed at once where rows and columns of the array are left.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import plain_cycles
from labkit.hardware.device import Device, Prices
from labkit.hardware.layer_table import LayerTable
from labkit.workload import FRONT_END, PLAIN, WEIGHTED, Layer

BESIDE = ("add", "avgpool", "maxpool")  # run beside the digital array
SHAPE = ("in_channels", "out_channels", "rows", "cols", "k_rows", "k_cols", "groups")
ANALOG_BITS = 2  # ternary


@lru_cache(maxsize=1 << 16)
def _shape(layer: Layer) -> tuple[int, ...]:
    """The numbers of SHAPE. A linear layer is a 1x1 convolution of one position; a signal of length n is n rows of one column."""
    if layer.op == "linear":
        return math.prod(layer.in_shape), layer.out_channels, 1, 1, 1, 1, 1
    rows, cols = (*layer.out_shape[1:], 1, 1)[:2]
    k_rows, k_cols = (*layer.kernel, 1, 1)[:2]
    return layer.in_channels, layer.out_channels, rows, cols, k_rows, k_cols, layer.groups


def shapes(table: LayerTable) -> dict[str, np.ndarray]:
    """The numbers of SHAPE for each row; pruned output channels are left out."""
    columns = dict(zip(SHAPE, np.array([_shape(layer) for layer in table.layers]).reshape(-1, len(SHAPE)).T, strict=True))
    columns["out_channels"] = np.ceil(columns["out_channels"] * table["kept"]).astype(np.int64)
    return columns


def digital_cycles(table: LayerTable) -> np.ndarray:
    """Cycles of weighted layers on the digital array, ``(rows,)``."""
    c, s = load("diana")["digital"], shapes(table)
    side = c["side"].value
    tiles = np.ceil(s["out_channels"] / s["groups"] / side) * np.ceil(s["rows"] / side)
    products = tiles * s["in_channels"] * s["cols"] * s["k_rows"] * s["k_cols"]
    return products + s["rows"] * s["cols"] * (s["in_channels"] + s["out_channels"]) / c["moved_per_cycle"].value


def analog_cycles(table: LayerTable) -> np.ndarray:
    """Cycles of weighted layers on the analog array, loading of the weights included, ``(rows,)``."""
    c = {name: quantity.value for name, quantity in load("diana")["analog"].items()}
    s = shapes(table)
    tiles = np.ceil(s["out_channels"] / c["columns"]) * np.ceil(s["in_channels"] / c["channels"])
    products = tiles * s["rows"] * s["cols"] / side_by_side(s)
    cycles_per_product = c["product_ns"] * load("diana")["clock"]["mhz"].value / 1e3
    return products * cycles_per_product + c["load_cycles"] * s["in_channels"] * s["k_rows"] * s["k_cols"]


def side_by_side(s: dict[str, np.ndarray]) -> np.ndarray:
    """Output columns that the analog array computes at once: the largest of 1, 2, 4, 8 that leaves room for their inputs."""
    c = {name: quantity.value for name, quantity in load("diana")["analog"].items()}
    best = np.ones(len(s["rows"]))
    positions = 2
    while positions <= c["most_positions"]:
        inputs = (positions + s["k_rows"] - 1) * np.maximum(s["in_channels"], c["channel_rows"]) * s["k_cols"]
        best[(positions * s["out_channels"] <= c["columns"]) & (inputs <= c["rows"])] = positions
        positions *= 2
    return best


def moving_cycles(table: LayerTable) -> np.ndarray:
    """Cycles of pooling and additions, ``(rows,)``: every element read and written once, at the digital array's rate (assumed)."""
    elements = (table["in_elements"] + table["out_elements"]) * table.op_is(*BESIDE)
    return elements / load("diana")["digital"]["moved_per_cycle"].value


def on_analog(table: LayerTable) -> np.ndarray:
    """Which rows run on the analog array, bool ``(rows,)``."""
    return table.op_is("conv", "linear") & (table["weight_bits"] <= ANALOG_BITS) & (shapes(table)["groups"] == 1)


class DIANA(Device):
    """Both arrays at 260 MHz. One memory holds code, weights and activations.

    >>> from labkit.hardware.reference import reference
    >>> ic = reference("ic")
    >>> DIANA().estimate(ic.with_bits(2, 8)).latency_ms.mid < DIANA().estimate(ic).latency_ms.mid  # ternary weights: analog
    True
    """

    name, family, title = "diana", "DIANA", "DIANA, a digital and an analog array beside a RISC-V core"

    def __init__(self):
        constants = load("diana")
        self.capacity = dict.fromkeys(("flash_bytes", "ram_bytes"), constants["memory"]["l2_bytes"].value)
        self.clock_mhz = constants["clock"]["mhz"].value

    def price(self, table: LayerTable) -> Prices:
        self.refuse_wider(table, 8, "its arrays take 8 bits at most")
        constants, analog = load("diana"), on_analog(table)
        spread = np.array([constants["uncertainty"]["low"].value, 1.0, constants["uncertainty"]["high"].value])
        arrays = np.where(analog, analog_cycles(table), digital_cycles(table)) * table.built + moving_cycles(table)
        host = plain_cycles(table) * ~table.op_is(*BESIDE)[:, None]
        latency_ms = (arrays[:, None] * spread + host) / (self.clock_mhz * 1e3)
        energy_uj = self._picojoules(table, analog) * 1e-6 + latency_ms * constants["energy"]["host_mw"].value
        weights = table.total(table["weight_bytes"]) + constants["memory"]["runtime_bytes"].value
        return Prices(latency_ms, energy_uj, {"flash_bytes": weights, "ram_bytes": weights + table.peak_activation_bytes})

    def _picojoules(self, table: LayerTable, analog: np.ndarray) -> np.ndarray:
        """Low, mid and high energy of the arrays, ``(rows, 3)``: the best case, a whole network, and that times a factor."""
        constants = load("diana")
        mid = constants["energy"]["pj_per_mac"].value
        best = np.where(analog, constants["analog"]["best_pj_per_mac"].value, constants["digital"]["best_pj_per_mac"].value)
        ends = np.column_stack([best, np.full(len(best), mid), np.full(len(best), mid * constants["energy"]["factor"].value)])
        return (table["macs"] * table["kept"] * table.op_is(*WEIGHTED))[:, None] * ends

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        constants, weighted = load("diana"), table.op_is(*WEIGHTED)
        sentences = [
            f"Latency: closed forms of both arrays (PLiNIO, diana_latency.py) at {self.clock_mhz:g} MHz; not validated.",
            "Interval: assumed, 0.8 to 2.5 times; tiling and the host are not in the equations.",
            f"Energy: {constants['energy']['pj_per_mac'].value:g} pJ a MAC (a CIFAR-10 network, end to end), from the arrays' best "
            "case to four times that, and 10 mW for the host (assumed).",
            "Memory: 512 kB hold code (assumed), weights and activations.",
            f"{int((on_analog(table) & weighted).sum())} of {int(weighted.sum())} weighted layers run on the analog array (2 bits "
            "or fewer); its noise is not priced here.",
        ]
        if table.op_is(*FRONT_END, *PLAIN).any():
            sentences.append(
                "Assumed: pooling and additions run beside the digital array at 8 elements a cycle; the front end and other plain "
                "layers take as many cycles as on a Cortex-M4."
            )
        return tuple(sentences)


DEVICES = {DIANA.name: DIANA}
