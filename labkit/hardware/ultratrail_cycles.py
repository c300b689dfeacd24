"""How many cycles UltraTrail takes for a layer (Palomero Bernardo et al., TCAD 2020; formula: ekut-es/hannah f33feac).

An array of n × n multipliers takes n input channels and n output channels at a time and walks along the time axis, one tap of the
kernel a cycle. Taps that fall on padding are skipped:

    cycles = 1 + ceil(inputs / n) · ceil(outputs / n) · taps
    taps   = positions · kernel − overhang on the left − overhang on the right

A linear layer is a kernel of one tap at one position.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from labkit.hardware.layer_table import LayerTable
from labkit.layer import Layer


def overhang(first: int, stride: int, positions: int | None = None) -> int:
    """Taps on padding at one end: first + (first − stride) + ..., as long as it is positive and there are positions.

    >>> overhang(4, 1), overhang(4, 2), overhang(4, 1, positions=2)
    (10, 6, 7)
    """
    terms = math.ceil(first / stride) if first > 0 else 0
    terms = terms if positions is None else min(terms, positions)
    return terms * first - stride * terms * (terms - 1) // 2


def taps(kernel: int, stride: int, padding: int, width: int) -> int:
    """Cycles that one n × n tile of a 1-D convolution takes over an input of `width` samples.

    The authors' sums are for a padding of kernel // 2 and know no end: over an input narrower than half a kernel they subtract
    taps of positions that do not exist, and fall below zero. There, and for any other padding, the positions limit them.

    >>> taps(kernel=3, stride=1, padding=1, width=5)  # 5 positions of 3 taps, without one at either end
    13
    >>> taps(kernel=9, stride=2, padding=4, width=2)  # one position, both samples inside; the authors' formula says -1
    2
    """
    positions = (width + 2 * padding - kernel) // stride + 1
    right = (positions - 1) * stride + kernel - padding - width
    published = positions * kernel - overhang(padding, stride) - overhang(right, stride)
    if padding == kernel // 2 and published > 0:
        return published
    return positions * kernel - overhang(padding, stride, positions) - overhang(right, stride, positions)


@lru_cache(maxsize=1 << 16)
def _shape(layer: Layer) -> tuple[int, int, int, int]:
    """Input channels, output channels that are not pruned, kernel, taps; zeros for a layer that takes no cycles."""
    built = int(np.count_nonzero(layer.channel_bits))
    if layer.op == "conv" and len(layer.kernel) == 1:
        (kernel,), width = layer.kernel, layer.in_shape[1]
        stride = layer.stride[0] if layer.stride else 1
        missing = max((layer.out_shape[1] - 1) * stride + kernel - width, 0)
        padding = layer.padding[0] if layer.padding else missing // 2
        return layer.in_channels, built, kernel, taps(kernel, stride, padding, width)
    return (math.prod(layer.in_shape), built, 1, 1) if layer.op == "linear" else (0, 0, 0, 0)


def cycles_and_words(table: LayerTable, array: int) -> tuple[np.ndarray, np.ndarray]:
    """Clock cycles of each layer, and words of weight memory that it fills, ``(rows,)`` each.

    Additions and pooling take no cycle: they happen while results are written. A word holds array × array weights; tiles at the
    edge are filled up.
    """
    inputs, outputs, kernel, count = table.column(_shape).reshape(-1, 4).T
    tiles = -(-inputs // array) * -(-outputs // array)
    return table.built + tiles * count, tiles * kernel
