"""How a layer is cut so that a tile of it fits the buffer, and what that makes the array fetch from external memory.

    for m, p (or p, m):  for c:  load what has changed;  compute the tile     sums stay in the buffer until they are finished

With filters outside, weights are read once and inputs once for every tile of filters; with positions outside it is the other way
round. The cut that costs least, by Eyeriss' ratios, is taken, for all dataflows the same.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labkit.hardware.dataflow_mappings import Array, even_sizes, ratios
from labkit.hardware.loops import Loops


@dataclass(frozen=True)
class Tiling:
    """The largest tile: `m` filters, `p` rows of outputs, `c` channels; and the words read and written outside, by number."""

    m: int
    p: int
    c: int
    filters_outside: bool
    words: tuple[int, int, int]  # weights, inputs, outputs


@lru_cache(maxsize=1 << 14)
def tiling(loops: Loops, array: Array) -> Tiling:
    """The cheapest cut; of equals, the one with the fewest tiles.

    Raises ValueError when the buffer cannot hold the smallest tile: one filter, one row of outputs, one channel.

    >>> tiling(Loops(m=64, c=64, p=25, q=5, r=1, s=1), Array(buffer_bytes=65536)).words  # everything fits: each number once
    (4096, 8000, 8000)
    """
    return _cheapest(loops, dataclasses.replace(array, rows=1, columns=1, register_bytes=1))  # it does not depend on the elements


@lru_cache(maxsize=1 << 14)
def _cheapest(loops: Loops, array: Array) -> Tiling:
    need = int(tile_bytes(loops, array, loops.m, loops.p, loops.c))
    if need <= array.buffer_bytes:
        words = (loops.weights, loops.inputs, loops.outputs) if array.external_memory else (0, 0, 0)
        return Tiling(loops.m, loops.p, loops.c, True, words)
    if not array.external_memory:
        raise ValueError(f"the layer takes {need:,} bytes, the buffer has {array.buffer_bytes:,} and there is no other memory")
    m, p, c = (grid.ravel() for grid in np.meshgrid(*map(even_sizes, (loops.m, loops.p, loops.c)), indexing="ij"))
    held = tile_bytes(loops, array, m, p, c)
    fits = held <= array.buffer_bytes
    if not fits.any():
        raise ValueError(
            f"a buffer of {array.buffer_bytes:,} bytes is too small for this layer: its smallest tile takes {int(held.min()):,}"
        )
    m, p, c = m[fits], p[fits], c[fits]
    traffic = np.hstack([outside(loops, m, p, c, filters_outside) for filters_outside in (True, False)])  # (3, 2 · tiles)
    tiles = np.tile(-(-loops.m // m) * -(-loops.p // p) * -(-loops.c // c), 2)
    sums = np.tile(loops.m * loops.p * loops.q * -(-loops.c // c), 2)  # each goes into the buffer and back
    _, _, buffer, dram = ratios()
    cost = dram * array.word_bytes * traffic.sum(axis=0) + 2 * buffer * array.sum_bytes * sums
    best = np.lexsort((tiles, cost))[0]
    words = tuple(int(loops.groups * word) for word in traffic[:, best])
    order, size = divmod(int(best), len(m))
    return Tiling(int(m[size]), int(p[size]), int(c[size]), order == 0, words)


@lru_cache(maxsize=1 << 14)
def tiles(loops: Loops, cut: Tiling) -> tuple[tuple[Loops, int], ...]:
    """The tiles of one group by shape, and how many there are of each: at each border of the layer they may be smaller.

    >>> cut = Tiling(m=4, p=1, c=1, filters_outside=True, words=(0, 0, 0))
    >>> [(tile.m, count) for tile, count in tiles(Loops(m=10, c=1, p=1, q=1, r=1, s=1), cut)]
    [(4, 2), (2, 1)]
    """
    shapes = []
    for bound, size in ((loops.m, cut.m), (loops.p, cut.p), (loops.c, cut.c)):
        full, rest = divmod(bound, size)
        shapes.append([(size, full), (rest, 1)] if rest else [(size, full)])
    return tuple(
        (dataclasses.replace(loops, m=m, p=p, c=c, groups=1), filter_tiles * row_tiles * channel_tiles)
        for (m, filter_tiles), (p, row_tiles), (c, channel_tiles) in itertools.product(*shapes)
    )


def tile_bytes(loops: Loops, array: Array, m, p, c):
    """Bytes of the weights, the inputs and the sums of a tile."""
    rows = (p - 1) * min(loops.stride_y, loops.r) + loops.r
    return array.word_bytes * c * (m * loops.r * loops.s + rows * loops.in_width) + array.sum_bytes * m * p * loops.q


def outside(loops: Loops, m, p, c, filters_outside: bool) -> np.ndarray:
    """Words of one group that cross the border of the chip, ``(3, tiles)``: weights, inputs, outputs.

    A tile is loaded when it is not the one that lies there. Of the two, weights and inputs, the one that the middle loop does not
    touch stays; if channels are cut, neither does.
    """
    filter_tiles, row_tiles, channel_tiles = (-(-bound // size) for bound, size in ((loops.m, m), (loops.p, p), (loops.c, c)))
    weights = loops.m * loops.c * loops.r * loops.s
    rows = (loops.p - row_tiles) * min(loops.stride_y, loops.r) + row_tiles * loops.r  # a cut reads its border twice
    inputs = loops.c * rows * loops.in_width
    if filters_outside:
        weight_loads = np.where(channel_tiles > 1, row_tiles, 1)
        input_loads = np.where((row_tiles > 1) | (channel_tiles > 1), filter_tiles, 1)
    else:
        weight_loads = np.where((filter_tiles > 1) | (channel_tiles > 1), row_tiles, 1)
        input_loads = np.where(channel_tiles > 1, filter_tiles, 1)
    outputs = np.broadcast_to(loops.m * loops.p * loops.q, np.shape(inputs))
    return np.stack([weights * weight_loads, inputs * input_loads, outputs])
