"""The MAX78000: a workload mapped onto its convolution engine, priced by the engine's cycle equation.

The engine has 3x3 and 1x1 convolutions in 2-D, kernels up to 9 in 1-D, linear layers, and pooling or addition on the way into
the next layer, which cost no layer of their own. It has no stride, no depthwise layer and no larger kernel. Those are built from
what it has, and the estimate says so:

- stride s: the s·s phases of the input become channels, the kernel shrinks to ceil(k / s) (space to depth; the same sums)
- a larger kernel: tiles of 3x3, each reading its own shifted copy of the input as further channels
- depthwise: a dense convolution whose kernel is zero off the diagonal; the zeros take weight memory

Everything else (front end, softmax, curves) runs on the Cortex-M4 beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import elementwise_cycles, front_end_cycles
from labkit.hardware.device import Device, Prices
from labkit.hardware.estimate import Interval
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.max78000_cycles import layer_cycles
from labkit.workload import FRONT_END, WEIGHTED, Layer, Workload

POOLS = ("avgpool", "maxpool")
COMBINES = ("add", "mul")
ON_CORE = (*FRONT_END, "softmax", "activation", "norm")
WIDTHS = (1, 2, 4, 8)
COLUMNS = (
    "input_chan", "in_rows", "in_cols", "output_chan", "k_rows", "k_cols", "pad_rows", "pad_cols",
    "pool_rows", "pool_cols", "pool_stride_rows", "pool_stride_cols", "operands", "passthrough", "flatten", "timeslots",
)  # fmt: skip


@dataclass(frozen=True)
class Feed:
    """What happens to a layer's input on its way in: pooled, or several operands combined."""

    pool: tuple[int, int] = (1, 1)
    pool_stride: tuple[int, int] = (1, 1)
    operands: int = 1
    in_size: tuple[int, int] | None = None  # before pooling


@dataclass(frozen=True)
class Mapped:
    """One layer on the engine: arguments of `layer_cycles`, whether the device has it, and the weight memory it takes."""

    columns: tuple[int, ...]
    native: bool = True
    streams: bool = False
    weight_bytes: int = 0
    bias_bytes: int = 0


def size2d(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a shape; a signal of length n is n rows of one column, as the vendor's tool lays it out."""
    spatial = shape[1:]
    return (*spatial, 1, 1)[:2] if len(spatial) < 2 else spatial[:2]


def pair(values: tuple[int, ...], default: int) -> tuple[int, int]:
    """The 2-D form of a kernel, stride or padding of a 1-D or 2-D layer."""
    return (*values, default, default)[:2] if len(values) < 2 else values[:2]


@lru_cache(maxsize=1 << 16)
def map_weighted(layer: Layer, feed: Feed, flatten: bool) -> Mapped:
    """A convolution, depthwise or linear layer on the engine."""
    bits = min(width for width in WIDTHS if width >= max(1, int(layer.channel_bits.max())))
    if layer.op == "linear":  # a 1x1 convolution over one position
        channels, size, out, kernel, stride = math.prod(layer.in_shape), (1, 1), (1, 1), (1, 1), (1, 1)
    else:
        channels, size, out = layer.in_channels, feed.in_size or size2d(layer.in_shape), size2d(layer.out_shape)
        kernel, stride = pair(layer.kernel, 1), pair(layer.stride, 1)
    one_d = size[1] == 1 and kernel[1] == 1
    tile = (9, 1) if one_d else (3, 3)
    native = layer.op != "depthwise" and layer.groups == 1 and (max(stride) == 1 or kernel == (1, 1))
    native &= kernel in ((1, 1), (3, 3)) or (one_d and kernel[0] <= tile[0])
    if max(stride) > 1:  # space to depth
        channels *= math.prod(min(k, s) for k, s in zip(kernel, stride, strict=True))
        size = tuple(math.ceil(n / s) for n, s in zip(size, stride, strict=True))
        kernel = tuple(math.ceil(k / s) for k, s in zip(kernel, stride, strict=True))
    channels *= math.prod(math.ceil(k / t) for k, t in zip(kernel, tile, strict=True))
    engine = (min(kernel[0], tile[0]), 1) if one_d else (1, 1) if kernel == (1, 1) else tile
    pooled = tuple((n - p) // s + 1 for n, p, s in zip(size, feed.pool, feed.pool_stride, strict=True))
    padding = tuple(max(0, math.ceil((o - i + k - 1) / 2)) for o, i, k in zip(out, pooled, engine, strict=True))
    columns = (
        channels, *size, layer.out_channels, *engine, *padding,
        *feed.pool, *feed.pool_stride, feed.operands, 0, int(flatten), 1,
    )  # fmt: skip
    weights = math.prod(engine) * channels * layer.out_channels
    streams = math.prod(size) > load("max78000")["memory"]["channel_bytes"].value
    return Mapped(columns, native, streams, math.ceil(weights * bits / 8), layer.out_channels * layer.bias)


@lru_cache(maxsize=1 << 16)
def map_passthrough(layer: Layer, operands: int) -> Mapped:
    """Pooling or an addition that no layer can take in: a layer of its own that only moves data."""
    pool, stride = (pair(layer.kernel, 1), pair(layer.stride, 1)) if layer.op in POOLS else ((1, 1), (1, 1))
    rows, cols = size2d(layer.in_shape)
    return Mapped((layer.in_channels, rows, cols, layer.out_channels, 1, 1, 0, 0, *pool, *stride, operands, 1, 0, 1))


def map_workload(workload: Workload) -> list[Mapped | None]:
    """Each layer on the engine, in order; None for a layer that costs the engine nothing (fused, or run on the core)."""
    readers: dict[str, list[Layer]] = {}
    for layer in workload.layers:
        for source in layer.inputs:
            readers.setdefault(source, []).append(layer)
    feeds: dict[str, Feed] = {}
    by_name = {layer.name: layer for layer in workload.layers}
    mapped: list[Mapped | None] = []
    for layer in workload.layers:
        source = layer.inputs[0]
        if layer.op in WEIGHTED:
            producer = by_name.get(source)
            flatten = layer.op == "linear" and producer is not None and math.prod(producer.out_shape[1:]) > 1
            mapped.append(map_weighted(layer, feeds.get(source, Feed()), flatten))
        elif layer.op in POOLS + COMBINES:
            following = readers.get(layer.name, [])
            plain_conv = len(following) == 1 and following[0].op == "conv" and max(following[0].stride, default=1) == 1
            if plain_conv and source not in feeds:
                feeds[layer.name] = _feed(layer)
                mapped.append(None)
            else:
                mapped.append(map_passthrough(layer, len(layer.inputs)))
        else:
            mapped.append(None)
    return mapped


def _feed(layer: Layer) -> Feed:
    if layer.op in COMBINES:
        return Feed(operands=len(layer.inputs))
    return Feed(pair(layer.kernel, 1), pair(layer.stride, 1), in_size=size2d(layer.in_shape))


class MAX78000(Device):
    """The accelerator with its weights already loaded; `weight_loading` prices the loading, paid once after power-up.

    >>> from labkit.hardware.reference import reference
    >>> MAX78000().estimate(reference("kws")).fits
    True
    """

    name, family = "max78000", "MAX78000"

    def __init__(self):
        constants = load("max78000")
        self.flash_bytes = constants["memory"]["weight_bytes"].value
        self.ram_bytes = constants["memory"]["data_bytes"].value
        low, high = constants["power"]["low_mw"].value, constants["power"]["high_mw"].value
        self.power_mw = Interval(low, math.sqrt(low * high), high)

    def price(self, table: LayerTable) -> Prices:
        constants = load("max78000")
        _check_widths(table)
        maps = [mapped for workload in table.workloads for mapped in map_workload(workload)]
        on_engine = np.array([mapped is not None for mapped in maps], dtype=bool)
        engine = [mapped for mapped in maps if mapped is not None]
        cycles = np.zeros((len(maps), 3))
        cycles[on_engine] = _engine_cycles(engine)
        first = np.searchsorted(table.owner, np.arange(len(table.workloads)))
        cycles[first] += 1  # the cycle that starts the network
        engine_ms = cycles / (constants["clock"]["cnn_mhz"].value * 1e3)
        core_ms = _core_cycles(table) / (constants["clock"]["core_mhz"].value * 1e3)
        factor = constants["power"]["core_factor"].value
        core_mw = constants["power"]["core_mw"].value * np.array([1 / factor, 1.0, factor])
        power = np.array([self.power_mw.low, self.power_mw.mid, self.power_mw.high])
        weights = np.zeros(len(maps))
        biases = np.zeros(len(maps))
        weights[on_engine] = [mapped.weight_bytes for mapped in engine]
        biases[on_engine] = [mapped.bias_bytes for mapped in engine]
        weight_bytes, bias_bytes, ram = table.total(weights), table.total(biases), table.peak_activation_bytes
        memory = constants["memory"]
        fits = (weight_bytes <= self.flash_bytes) & (bias_bytes <= memory["bias_bytes"].value) & (ram <= self.ram_bytes)
        fits &= table.total(on_engine.astype(float)) <= memory["layers"].value
        return Prices(engine_ms + core_ms, engine_ms * power + core_ms * core_mw, weight_bytes + bias_bytes, ram, fits)

    def weight_loading(self, workload: Workload) -> tuple[Interval, Interval]:
        """Milliseconds and microjoules to write the weights into the engine after power-up: assumed."""
        constants = load("max78000")
        words = sum(m.weight_bytes + m.bias_bytes for m in map_workload(workload) if m) / 4
        ms = words * constants["weight_loading"]["cycles_per_word"].value / (constants["clock"]["core_mhz"].value * 1e3)
        time = Interval.within(ms, constants["weight_loading"]["uncertainty_factor"].value)
        return time, time * Interval.within(constants["power"]["core_mw"].value, constants["power"]["core_factor"].value)

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        maps = [m for workload in table.workloads for m in map_workload(workload) if m]
        sentences = [
            "Latency: the engine's closed-form cycles (exact on the vendor's test vectors) at 50 MHz, weights already loaded.",
            f"Energy: time × {self.power_mw.mid:.0f} mW, between two published anchors ({self.power_mw.low:.0f} mW from "
            f"TinyissimoYOLO, {self.power_mw.high:.0f} mW from a keyword-spotting paper whose run time is assumed).",
            "Flash is the engine's weight and bias memory, RAM its data memory (size assumed).",
        ]
        if not all(m.native for m in maps):
            sentences.append(
                "Estimated: strided, depthwise or large kernels are built from native layers; weight memory counts the zeros."
            )
        if table.op_is("conv").any() and any(
            len(layer.in_shape) == 2 for w in table.workloads for layer in w.layers if layer.kernel
        ):
            sentences.append("Estimated: 1-D layers use the 2-D equation with one column; no test vector covers them.")
        if any(m.streams for m in maps):
            sentences.append(
                "Estimated: an input larger than a channel's memory streams, 1.18 times slower (two networks on silicon)."
            )
        if table.op_is(*ON_CORE).any():
            sentences.append("Assumed: front end, softmax and curves run on the Cortex-M4 at 100 MHz.")
        return tuple(sentences)


def _engine_cycles(maps: list[Mapped]) -> np.ndarray:
    """Low, mid and high cycles of mapped layers, ``(layers, 3)``."""
    if not maps:
        return np.zeros((0, 3))
    columns = np.array([mapped.columns for mapped in maps]).T
    cycles = layer_cycles(**dict(zip(COLUMNS, columns, strict=True))).astype(float)
    constants = load("max78000")
    native, built = constants["uncertainty"]["native"].value, constants["uncertainty"]["decomposed"].value
    is_native = np.array([mapped.native for mapped in maps])[:, None]
    factors = np.where(is_native, [[1.0, 1.0, native]], [[1 / built, 1.0, built]])
    streams = np.array([mapped.streams for mapped in maps])[:, None]
    streaming = [constants["streaming"][end].value for end in ("low", "mid", "high")]
    return cycles[:, None] * factors * np.where(streams, [streaming], [[1.0, 1.0, 1.0]])


def _core_cycles(table: LayerTable) -> np.ndarray:
    """Cycles on the Cortex-M4, ``(layers, 3)``: what the engine cannot do."""
    cycles = (elementwise_cycles(table, "M4") * table.op_is(*ON_CORE))[:, None] * _ends("elementwise")
    return cycles + front_end_cycles(table, "M4")[:, None] * _ends("front_end")


def _ends(group: str) -> np.ndarray:
    factor = load("cortex_m")[group]["uncertainty_factor"].value
    return np.array([1 / factor, 1.0, factor])


def _check_widths(table: LayerTable) -> None:
    wide = table.op_is(*WEIGHTED) & ((table["weight_bits"] > 8) | (table["activation_bits"] > 8))
    if wide.any():
        raise ValueError("the MAX78000 computes in 8 bits or fewer; quantize the network first (Workload.with_bits(8))")
