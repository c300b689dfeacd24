"""GAP8 and GAP9: a cluster of eight RISC-V cores; GAP9 also has a convolution engine, NE16.

On the cluster (PLiNIO's equations), each core takes two positions at a time and goes through the channels in fours:

    convolution = ceil(W / 8) · ceil(H / 2) · (2 k·C_in + ceil(C_out / 4) · (15 + 14 ceil(k·C_in / 4)))      k: kernel elements
    depthwise   = 4 ceil(C / 4) · H · W · k
    linear      = ceil(C_in / 2) · ceil(C_out / 4)

On GAP9, layers that NE16 knows (3x3, 1x1, depthwise 3x3, linear) run there (`labkit.hardware.ne16`), once their weights are moved
in. Everything else runs on the cluster, pooling and additions with as many cycles as on a Cortex-M4, shared by eight cores.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from labkit.hardware import ne16
from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import plain_cycles
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.layer_table import LayerTable
from labkit.naming import did_you_mean
from labkit.workload import FRONT_END, PLAIN, WEIGHTED, Layer

SHAPE = ("in_channels", "out_channels", "rows", "cols", "kernel", "side", "stride", "groups")
ENGINE_SIDES = (1, 3)  # kernels that NE16 has


@lru_cache(maxsize=1 << 16)
def _shape(layer: Layer) -> tuple[int, ...]:
    """The numbers of SHAPE: `kernel` counts elements, `side` is that of a square kernel (0 where it is none)."""
    if layer.op == "linear":  # a 1x1 convolution of one position
        return math.prod(layer.in_shape), layer.out_channels, 1, 1, 1, 1, 1, 1
    rows, cols = (1, 1, *layer.out_shape[1:])[-2:]
    side = layer.kernel[0] if len(layer.kernel) == 2 and len(set(layer.kernel)) == 1 else 0
    side = 1 if math.prod(layer.kernel) == 1 else side
    stride = max(layer.stride, default=1)
    return layer.in_channels, layer.out_channels, rows, cols, math.prod(layer.kernel), side, stride, layer.groups


def shapes(table: LayerTable) -> dict[str, np.ndarray]:
    """The numbers of SHAPE for each row; pruned output channels are left out."""
    columns = dict(zip(SHAPE, np.array([_shape(layer) for layer in table.layers]).reshape(-1, len(SHAPE)).T, strict=True))
    columns["out_channels"] = np.ceil(columns["out_channels"] * table["kept"]).astype(np.int64)
    return columns


def cluster_cycles(table: LayerTable) -> np.ndarray:
    """Cycles of weighted layers on the eight cores, ``(rows,)``; 0 for other layers."""
    c = {name: quantity.value for name, quantity in load("gap")["cluster"].items()}
    s = shapes(table)
    length = s["kernel"] * s["in_channels"] / s["groups"]  # of a dot product
    steps = np.ceil(s["cols"] / c["cores"]) * np.ceil(s["rows"] / c["positions"])
    products = c["outer_cycles"] + c["inner_cycles"] * np.ceil(length / c["products"])
    dense = steps * (c["rearrange_cycles"] * s["kernel"] * s["in_channels"] + np.ceil(s["out_channels"] / c["channels"]) * products)
    depthwise = 4 * np.ceil(s["out_channels"] / 4) * s["rows"] * s["cols"] * s["kernel"]
    linear = np.ceil(s["in_channels"] / 2) * np.ceil(s["out_channels"] / 4)
    return np.select([table.op_is("conv"), table.op_is("depthwise"), table.op_is("linear")], [dense, depthwise, linear], 0.0)


def on_engine(table: LayerTable) -> np.ndarray:
    """Which rows NE16 can run, bool ``(rows,)``: square kernels of 1 or 3, stride 1 or 2, one group or depthwise."""
    s = shapes(table)
    square = np.isin(s["side"], ENGINE_SIDES) & (s["stride"] <= 2)
    dense, depthwise = table.op_is("conv") & (s["groups"] == 1), table.op_is("depthwise") & (s["side"] == 3)
    return table.op_is("linear") | ((dense | depthwise) & square)


def engine_cycles(table: LayerTable) -> np.ndarray:
    """Cycles of NE16 for each row, weights in place, ``(rows,)``; only those of `on_engine` mean something."""
    s = shapes(table)
    kept = ("in_channels", "out_channels", "rows", "cols", "stride")
    return ne16.layer_cycles(
        **{name: s[name] for name in kept},
        kernel=s["side"],
        depthwise=table.op_is("depthwise"),
        weight_bits=np.maximum(table["weight_bits"], 2),
    ).astype(float)


class Gap(Device):
    """What both chips share: clock, power, memory, and the cluster."""

    family = "GAP"
    pj_per_mac = 0.0  # on top of the power, which is drawn all the time

    def price(self, table: LayerTable) -> Prices:
        self.refuse_wider(table, 8, "its dot products take 8 bits at most")
        shared = plain_cycles(table) / load("gap")["cluster"]["cores"].value
        latency_ms = (self.weighted_cycles(table) * table.built[:, None] + shared) / (self.clock_mhz * 1e3)
        weights = table.total(table["weight_bytes"]) + self.runtime_bytes
        ram = table.peak_activation_bytes + weights * self.weights_in_ram
        macs = table["macs"] * table["kept"] * table.op_is(*WEIGHTED)
        energy_uj = (latency_ms * self.power_mw + macs[:, None] * self.pj_per_mac * 1e-6) * self.power_factors
        return Prices(latency_ms, energy_uj, {"flash_bytes": weights, "ram_bytes": ram})

    def _assumed(self, table: LayerTable) -> list[str]:
        used = {"the front end": FRONT_END, "pooling, additions and other plain layers": PLAIN}
        names = [name for name, ops in used.items() if table.op_is(*ops).any()]
        return [f"Assumed: {', '.join(names)} take an eighth of the cycles of a Cortex-M4, on eight cores."] if names else []


class GAP8(Gap):
    """Eight cores at 90 MHz and 1.0 V, the one operating point whose power is published.

    >>> from labkit.hardware.reference import reference
    >>> GAP8().estimate(reference("ic")).latency_ms.mid < 20
    True
    """

    name, title, weights_in_ram = "gap8", "GreenWaves GAP8, eight RISC-V cores", 1

    def __init__(self):
        gap8 = {name: quantity.value for name, quantity in load("gap")["gap8"].items()}
        self.capacity = dict.fromkeys(("flash_bytes", "ram_bytes"), gap8["l2_bytes"])
        self.clock_mhz, self.power_mw, self.runtime_bytes = gap8["clock_mhz"], gap8["power_mw"], gap8["runtime_bytes"]
        self.power_factors = within(gap8["power_factor"])

    def weighted_cycles(self, table: LayerTable) -> np.ndarray:
        return cluster_cycles(table)[:, None] * _spread("cluster")

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        return (
            f"Latency: closed form of the kernels on eight cores (PLiNIO, gap8_latency.py), {self.clock_mhz:g} MHz; not validated.",
            "Interval: assumed, 0.8 to 2.5 times; the equation leaves out how tiles move between memories.",
            f"Energy: {self.power_mw:g} mW × time, assumed below the published worst case of 75 mW at 90 MHz.",
            "Memory: one memory of 512 KiB (recalled) holds code, weights and activations; external memory is not counted.",
            *self._assumed(table),
        )


class GAP9(Gap):
    """NE16 and eight cores. `clock_mhz` is 370 (0.8 V) or 240 (0.65 V), the two points that MLPerf Tiny v1.0 measured.

    >>> from labkit.hardware.reference import reference
    >>> round(GAP9().estimate(reference("ic")).latency_ms.mid, 2)  # MLPerf Tiny v1.0 measured 0.62
    0.65
    """

    name, title, weights_in_ram = "gap9", "GreenWaves GAP9 with the NE16 convolution engine", 0

    def __init__(self, clock_mhz: int = 370):
        constants = load("gap")["gap9"]
        if str(clock_mhz) not in constants["points"]:
            raise ValueError(f"gap9 was not measured at {clock_mhz} MHz; {did_you_mean(str(clock_mhz), constants['points'])}")
        point = constants["points"][str(clock_mhz)]
        self.clock_mhz, self.power_mw, self.pj_per_mac = (point[key].value for key in ("clock_mhz", "base_mw", "pj_per_mac"))
        self.capacity = {"flash_bytes": constants["flash_bytes"].value, "ram_bytes": constants["l2_bytes"].value}
        self.runtime_bytes = constants["runtime_bytes"].value
        self.power_factors = within(load("gap")["uncertainty"]["energy"].value)

    def weighted_cycles(self, table: LayerTable) -> np.ndarray:
        engine = on_engine(table)
        moving = table["weight_bytes"] / load("gap")["gap9"]["weights_per_cycle"].value
        accelerated = ((engine_cycles(table) + moving) * engine)[:, None] * _spread("engine")
        return accelerated + (cluster_cycles(table) * ~engine)[:, None] * _spread("cluster")

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        sentences = [
            f"Latency: closed form of the NE16 engine (PLiNIO, ne16_latency.py) at {self.clock_mhz:g} MHz, and weights moved in at "
            "8 bytes a cycle (recalled).",
            "Interval: a little wider than the errors on four measured networks (MLPerf Tiny v1.0; labkit validate).",
            f"Energy: {self.power_mw:g} mW × time + {self.pj_per_mac:g} pJ × MACs, fitted to the same four networks.",
            "Memory: weights in 2 MiB of MRAM, activations in 1.5 MiB (both recalled); code is assumed.",
        ]
        if (table.op_is("conv", "depthwise") & ~on_engine(table)).any():
            sentences.append(
                "Estimated: 1-D layers, and kernels other than 3x3 and 1x1, run on the eight cores (equation of GAP8)."
            )
        return (*sentences, *self._assumed(table))


def _spread(where: str) -> np.ndarray:
    uncertainty = load("gap")["uncertainty"]
    return np.array([uncertainty[f"{where}_low"].value, 1.0, uncertainty[f"{where}_high"].value])


DEVICES = {cls.name: cls for cls in (GAP8, GAP9)}
