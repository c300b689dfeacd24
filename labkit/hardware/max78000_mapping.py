"""How a network runs on the MAX78000's convolution engine: each layer of a workload as arguments of its cycle equation.

The engine has 3x3 and 1x1 convolutions in 2-D, kernels up to 9 in 1-D, linear layers, and pooling or addition on the way into
the next layer, which cost no layer of their own. It has no stride, no depthwise layer, no larger kernel and no margin over two
zeros. Those are built from what it has, and the estimate says so:

- stride s: the s·s phases of the input become channels, the kernel shrinks to ceil(k / s) (space to depth; the same sums)
- a larger kernel: tiles of 3x3, each reading its own shifted copy of the input as further channels
- depthwise or grouped: a dense convolution whose kernel is zero off the diagonal; the zeros take weight memory
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.max78000_cycles import PROCESSORS
from labkit.workload import FRONT_END, WEIGHTED, Layer, Workload, positions

POOLS = ("avgpool", "maxpool")
COMBINES = ("add",)
WIDTHS = (1, 2, 4, 8)
LIMITS = {name: limit.value for name, limit in load("max78000")["limits"].items()}
COLUMNS = (
    "input_chan", "in_rows", "in_cols", "output_chan", "k_rows", "k_cols", "pad_rows", "pad_cols",
    "pool_rows", "pool_cols", "pool_stride_rows", "pool_stride_cols", "multipass", "operands", "passthrough", "flatten",
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

    @cached_property
    def side(self) -> int:
        """The longer side of the input."""
        return max(self.columns[COLUMNS.index("in_rows")], self.columns[COLUMNS.index("in_cols")])

    @cached_property
    def flattened(self) -> int:
        """Positions that a linear layer flattens; 0 for other layers."""
        channels, passes, flatten = (self.columns[COLUMNS.index(name)] for name in ("input_chan", "multipass", "flatten"))
        return passes // math.ceil(channels / passes / PROCESSORS) if flatten else 0


def size2d(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a shape; a signal of length n is n rows of one column, as the vendor's tool lays it out."""
    spatial = shape[1:]
    return (*spatial, 1, 1)[:2] if len(spatial) < 2 else spatial[:2]


def pair(values: tuple[int, ...], default: int) -> tuple[int, int]:
    """The 2-D form of a kernel, stride or padding of a 1-D or 2-D layer."""
    return (*values, default, default)[:2] if len(values) < 2 else values[:2]


@lru_cache(maxsize=1 << 16)
def map_linear(layer: Layer, flattened: int) -> Mapped:
    """A linear layer: a 1x1 convolution over one position, with a pass for each position of the map that it flattens."""
    features = math.prod(layer.in_shape)
    passes = flattened * math.ceil(features / flattened / PROCESSORS)
    outputs = _built(layer)
    columns = (features, 1, 1, outputs, 1, 1, 0, 0, 1, 1, 1, 1, passes, 1, 0, int(flattened > 1))
    return Mapped(columns, True, False, _weight_bytes(layer, features * outputs), outputs * layer.bias)


@lru_cache(maxsize=1 << 16)
def map_convolution(layer: Layer, feed: Feed) -> Mapped:
    """A convolution, whatever its stride, groups and kernel, on the engine."""
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
    native &= max(padding) <= LIMITS["margin"]
    outputs = _built(layer)
    columns = (
        channels, *size, outputs, *engine, *padding,
        *feed.pool, *feed.pool_stride, math.ceil(channels / PROCESSORS), feed.operands, 0, 0,
    )  # fmt: skip
    weights = math.prod(engine) * channels * outputs
    streams = math.prod(size) > load("max78000")["memory"]["channel_bytes"].value
    return Mapped(columns, native, streams, _weight_bytes(layer, weights), outputs * layer.bias)


def _built(layer: Layer) -> int:
    """Output channels that are compiled: those that are not pruned to 0 bits."""
    return int(np.count_nonzero(layer.channel_bits))


def _weight_bytes(layer: Layer, weights: int) -> int:
    """Every weight of a layer is as wide as its widest."""
    bits = min(width for width in WIDTHS if width >= layer.channel_bits.max())
    return math.ceil(weights * bits / 8)


@lru_cache(maxsize=1 << 16)
def map_passthrough(layer: Layer, operands: int) -> Mapped:
    """Pooling or an addition that no layer can take in: a layer of its own that only moves data."""
    pool, stride = _window(layer) if layer.op in POOLS else ((1, 1), (1, 1))
    passes = math.ceil(layer.in_channels / PROCESSORS)
    columns = (
        layer.in_channels, *size2d(layer.in_shape), layer.out_channels, 1, 1, 0, 0, *pool, *stride, passes, operands, 1, 0,
    )  # fmt: skip
    return Mapped(columns, native=max(pool) <= LIMITS["pool"])


def map_workload(workload: Workload) -> list[Mapped | None]:
    """Each layer on the engine, in order; None for one that costs the engine nothing: fused, pruned whole, or run on the core."""
    readers: dict[str, list[Layer]] = {}
    for layer in workload.layers:
        for source in layer.inputs:
            readers.setdefault(source, []).append(layer)
    feeds: dict[str, Feed] = {}
    by_name = {layer.name: layer for layer in workload.layers}
    mapped: list[Mapped | None] = []
    for layer in workload.layers:
        source = layer.inputs[0]
        if layer.op in WEIGHTED and not _built(layer):
            mapped.append(None)
        elif layer.op == "linear":
            mapped.append(map_linear(layer, _flattened(by_name.get(source))))
        elif layer.op in WEIGHTED:
            mapped.append(map_convolution(layer, feeds.get(source, Feed())))
        elif layer.op not in POOLS + COMBINES:
            mapped.append(None)
        elif source not in feeds and _fuses(layer, readers.get(layer.name, [])):
            feeds[layer.name] = _feed(layer)
            mapped.append(None)
        else:
            mapped.append(map_passthrough(layer, len(layer.inputs)))
    return mapped


def _flattened(producer: Layer | None) -> int:
    """Positions of the map that a linear layer flattens; what comes from outside the engine is laid out as it suits."""
    return 1 if producer is None or producer.op in FRONT_END else positions(producer.out_shape)


def _fuses(layer: Layer, readers: list[Layer]) -> bool:
    """Whether the one layer that reads this pooling or addition can do it on the way in."""
    if len(readers) != 1 or readers[0].op != "conv" or max(readers[0].stride, default=1) > 1:
        return False
    return layer.op in COMBINES or max(_window(layer)[0]) <= LIMITS["pool"]


def _feed(layer: Layer) -> Feed:
    if layer.op in COMBINES:
        return Feed(operands=len(layer.inputs))
    return Feed(*_window(layer), in_size=size2d(layer.in_shape))


def _window(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Window and stride of a pooling layer; without a kernel it pools over everything. A window over the edge sees no more."""
    size = size2d(layer.in_shape)
    window = tuple(map(min, pair(layer.kernel, 1), size)) if layer.kernel else size
    return window, pair(layer.stride, 1) if layer.stride else window
