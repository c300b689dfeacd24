"""A layer as the loops that compute it: what a dataflow orders, cuts into tiles and spreads over an array.

    for g, m, c, p, q, r, s:   out[g, m, p, q] += weight[g, m, c, r, s] · in[g, c, p·stride_y + r, q·stride_x + s]

The letters are those of Eyeriss and Timeloop. In 1-D, p = r = 1; a linear layer has p = q = r = s = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

from labkit.workload import WEIGHTED, Layer


def span(outputs: int, kernel: int, stride: int, tiles: int = 1) -> int:
    """Inputs under `outputs` neighbouring windows that are cut into `tiles`; each cut reads its border twice.

    >>> span(4, kernel=3, stride=1), span(4, kernel=3, stride=1, tiles=2), span(4, kernel=1, stride=2)
    (6, 8, 4)
    """
    return (outputs - tiles) * min(stride, kernel) + tiles * kernel


@dataclass(frozen=True)
class Loops:
    """Bounds of the loops: m filters, c channels, p × q outputs, r × s kernel; `groups` share no input.

    Zeros of the padding count as inputs, as in Eyeriss' tables.

    >>> stem = Loops(m=64, c=1, p=25, q=5, r=10, s=4, stride_y=2, stride_x=2)
    >>> stem.macs, stem.weights, stem.inputs, stem.outputs
    (320000, 2560, 696, 8000)
    """

    m: int
    c: int
    p: int
    q: int
    r: int
    s: int
    stride_y: int = 1
    stride_x: int = 1
    groups: int = 1

    def __post_init__(self):
        for name, value in vars(self).items():
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(f"loop {name} runs {value!r} times; give a whole number from 1")

    @classmethod
    def of(cls, layer: Layer) -> Loops:
        """The loops of a convolution or a linear layer. Raises ValueError for anything else."""
        if layer.op not in WEIGHTED:
            raise ValueError(f"an array of multipliers cannot run layer {layer.name!r} ({layer.op}): it has no weights")
        if layer.op == "linear":
            return cls(m=layer.out_channels, c=math.prod(layer.in_shape), p=1, q=1, r=1, s=1)
        stride = layer.stride or (1,) * len(layer.kernel)
        (p, q), (r, s), (stride_y, stride_x) = (_two(sizes) for sizes in (layer.out_shape[1:], layer.kernel, stride))
        m, c = layer.out_channels // layer.groups, layer.in_channels // layer.groups
        return cls(m, c, p, q, r, s, stride_y, stride_x, layer.groups)

    @property
    def macs(self) -> int:
        return self.weights * self.p * self.q

    @property
    def weights(self) -> int:
        return self.groups * self.m * self.c * self.r * self.s

    @property
    def in_width(self) -> int:
        return span(self.q, self.s, self.stride_x)

    @property
    def inputs(self) -> int:
        return self.groups * self.c * span(self.p, self.r, self.stride_y) * self.in_width

    @property
    def outputs(self) -> int:
        return self.groups * self.m * self.p * self.q


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    return (1, *sizes) if len(sizes) == 1 else sizes
