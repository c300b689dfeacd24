"""One layer of a network as a stage of a dataflow pipeline: how much it multiplies, and what it waits for.

In the dataflow style every layer is its own circuit and all of them work at once, each on another part of the picture. A stage
computes one *position* (all output channels at one place) after the other; its input arrives position by position, row by row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labkit.workload import WEIGHTED, Layer, Workload

WAITS_FOR_WINDOW = ("conv", "depthwise", "maxpool", "avgpool")
WAITS_FOR_ALL = ("linear", "softmax")  # what mixes every place with every other


@dataclass(frozen=True)
class Stage:
    """What a layer asks of the circuit that computes it."""

    name: str
    op: str
    positions: int  # places in the output
    dot: int  # products in one output number; 0 for a layer without weights
    outputs: int  # output channels that are built: a channel pruned to 0 bits is not
    channels: int  # input channels
    weight_bits: int
    input_bits: int
    output_bits: int
    line_rows: int  # input rows kept for the sliding window
    line_width: int  # positions in such a row

    @property
    def products(self) -> int:
        """Multiplications at one position: with so many multipliers the stage takes one cycle a position."""
        return self.dot * self.outputs


@lru_cache(maxsize=1 << 14)
def stage(layer: Layer, input_bits: int) -> Stage:
    """The stage of a layer that reads `input_bits` wide numbers.

    >>> first = Layer("conv0", "conv", ("input",), (1, 49, 10), (64, 25, 5), (10, 4), (2, 2))
    >>> stage(first, 8).positions, stage(first, 8).products
    (125, 2560)
    """
    bits = layer.channel_bits if layer.op in WEIGHTED else np.zeros(0, int)
    taller = layer.op in ("conv", "depthwise") and math.prod(layer.kernel) > 1
    return Stage(
        name=layer.name,
        op=layer.op,
        positions=math.prod(layer.out_shape[1:]),
        dot=layer.weights_per_channel if bits.any() else 0,
        outputs=int(np.count_nonzero(bits)),
        channels=layer.in_channels,
        weight_bits=int(bits.max(initial=0)),
        input_bits=int(input_bits),
        output_bits=layer.activation_bits,
        line_rows=layer.kernel[0] if taller else 0,
        line_width=layer.in_shape[-1] if taller and len(layer.in_shape) == 3 else 1,
    )


def stages(workload: Workload) -> tuple[Stage, ...]:
    """The stages of a network, in its order; each reads the widest of its inputs."""
    written = {"input": workload.input_bits} | {layer.name: layer.activation_bits for layer in workload.layers}
    return tuple(stage(layer, max(written[source] for source in layer.inputs)) for layer in workload.layers)


@lru_cache(maxsize=1 << 12)
def last_needed(layer: Layer, whole_rows: bool) -> np.ndarray:
    """For each output position, in order, the number of the last input position that it waits for, int ``(positions,)``.

    A 3×3 window that is padded by one waits for the place one row down and one to the right. Circuits that buffer row by row
    (`whole_rows`) wait for the end of that row.

    >>> last_needed(Layer("c", "conv", ("input",), (1, 4, 4), (1, 4, 4), (3, 3), (1, 1), (1, 1)), False)[:5]
    array([5, 6, 7, 7, 9])
    """
    before, after = layer.in_shape[1:], layer.out_shape[1:]
    count = math.prod(after)
    if layer.op in WAITS_FOR_ALL or (math.prod(before) != count and layer.op not in WAITS_FOR_WINDOW):
        return np.full(count, math.prod(before) - 1)
    if layer.op not in WAITS_FOR_WINDOW:
        return np.arange(count)
    axes = [_last_along(layer, axis) for axis in range(len(after))]
    if whole_rows and len(axes) == 2:
        axes[1] = np.full(after[1], before[1] - 1)
    index = np.zeros((), int)
    for size, axis in zip(before, axes, strict=True):
        index = index[..., None] * size + axis
    return index.ravel()


def _last_along(layer: Layer, axis: int) -> np.ndarray:
    """The last row (or column) inside the window of each output row (or column)."""
    size, places = layer.in_shape[1 + axis], layer.out_shape[1 + axis]
    kernel = layer.kernel[axis] if layer.kernel else size  # a pool without a kernel takes everything
    stride = layer.stride[axis] if layer.stride else kernel
    missing = max((places - 1) * stride + kernel - size, 0)
    padding = layer.padding[axis] if layer.padding else missing // 2
    return np.clip(np.arange(places) * stride - padding + kernel - 1, 0, size - 1)
