"""Four dataflows: which number stays in a processing element while the others move past it (Chen, Emer, Sze, ISCA 2016, IV).

Each function counts, for one tile of a layer that lies in the buffer, the cycles of the array and the words that a level serves:

    registers   what the multiplier of an element reads and writes in the element's own registers
    network     words brought into an element, or passed from one element to the next
    buffer      words read (once for all elements that take them in the same cycle) and written

The loop orders are written above each function. `ceil` stands where the last round does not fill the array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.loops import Loops, span

LEVELS = ("registers", "network", "buffer", "dram")
NUMBERS = ("weights", "inputs", "sums")


@cache
def ratios() -> tuple[float, ...]:
    """What a word costs at each level, in multiply-accumulates (Chen, Emer, Sze, ISCA 2016, table IV).

    >>> ratios()
    (1, 2, 6, 200)
    """
    return tuple(load("dataflow")["eyeriss"][level].value for level in LEVELS)


@dataclass(frozen=True)
class Array:
    """Rows × columns of processing elements, the registers of each, and one buffer for all.

    Weights and inputs have `word_bits`, partial sums `sum_bits`. Without external memory, a layer must lie in the buffer whole.
    """

    rows: int = 16
    columns: int = 16
    buffer_bytes: int = 64 * 1024
    register_bytes: int = 512
    word_bits: int = 8
    sum_bits: int = 32
    external_memory: bool = True

    def __post_init__(self):
        for name, value in vars(self).items():
            if name != "external_memory" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"an array with {name} = {value!r} cannot be built; give a whole number from 1")

    @property
    def elements(self) -> int:
        return self.rows * self.columns

    @property
    def word_bytes(self) -> float:
        return self.word_bits / 8

    @property
    def sum_bytes(self) -> float:
        return self.sum_bits / 8


@dataclass(frozen=True)
class Traffic:
    """Cycles, and words by level (rows: registers, network, buffer) and number (columns: weights, inputs, sums)."""

    cycles: int
    words: np.ndarray  # (3, 3)

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.cycles + other.cycles, self.words + other.words)

    def __mul__(self, times: int) -> Traffic:
        return Traffic(self.cycles * times, self.words * times)


def weight_stationary(tile: Loops, array: Array) -> Traffic:
    """A weight is loaded once and stays for all positions. Rows take channels, columns filters; sums flow down a column.

    for c, r, s, m (by columns), c (by rows):  load;  for p, q:  multiply, pass the sum on

    >>> toy = Loops(m=2, c=2, p=1, q=3, r=1, s=1)  # a 2 x 2 array: 4 weights, each used at 3 positions
    >>> weight_stationary(toy, Array(rows=2, columns=2)).words.tolist()
    [[12, 0, 0], [4, 12, 6], [4, 6, 12]]
    """
    positions, taps = tile.p * tile.q, tile.r * tile.s
    filter_rounds, channel_rounds = _ceil(tile.m, array.columns), _ceil(tile.c, array.rows)
    sums = tile.outputs * channel_rounds * taps  # one leaves the array for every output, round of channels and tap
    words = [
        [tile.macs, 0, 0],
        [tile.weights, tile.macs, tile.macs - sums],  # from element to element within a column
        [tile.weights, filter_rounds * tile.c * taps * positions, 2 * sums],
    ]
    return Traffic(filter_rounds * channel_rounds * taps * positions, np.array(words))


def output_stationary(tile: Loops, array: Array) -> Traffic:
    """A sum stays until it is finished. Rows take positions, columns filters; weights and inputs stream through.

    for m (by columns), positions (by rows):  for c, r, s:  multiply, add to the own sum
    """
    positions, length = tile.p * tile.q, tile.c * tile.r * tile.s
    filter_rounds, position_rounds = _ceil(tile.m, array.columns), _ceil(positions, array.rows)
    words = [
        [0, 0, 2 * tile.macs],
        [tile.macs, tile.macs, 0],
        [position_rounds * tile.weights, filter_rounds * positions * length, 2 * tile.outputs],
    ]
    return Traffic(filter_rounds * position_rounds * length, np.array(words))


def no_local_reuse(tile: Loops, array: Array) -> Traffic:
    """Nothing stays; all area goes into the buffer. Rows take channels, columns filters; sums are added along a column.

    for m (by columns), p, q:  for c (by rows), r, s:  fetch weight and input, multiply, pass the sum on
    """
    stationary = weight_stationary(tile, array)
    words = stationary.words.copy()
    words[0, 0] = 0
    words[1:, 0] = tile.macs
    return Traffic(stationary.cycles, words)


def row_stationary(tile: Loops, array: Array) -> Traffic:
    """An element slides a row of a filter along a row of the input; rows of one window lie above each other, their sums add up.

    for m, p (by columns), c, r (by rows):  load rows of filters;  for q:  for m, c (held in registers), s:  multiply, add
    """
    return rows_in_registers(tile, array, *row_plan(tile, array))


def rows_in_registers(tile: Loops, array: Array, filters: int, channels: int) -> Traffic:
    """Row stationary with the rows of `filters` × `channels` in the registers of each element."""
    strip, beside, above = sets(tile, array)
    strips, folds = _ceil(tile.p, strip), _ceil(tile.r, array.rows)
    filter_rounds, channel_rounds = _ceil(tile.m, filters * beside), _ceil(tile.c, channels * above)
    sums = tile.outputs * channel_rounds * folds  # those that leave the array
    columns_of_sums = tile.outputs * tile.r * _ceil(tile.c, channels)  # those that leave an element
    in_rows = sum(span(tile.p, rows, tile.stride_y, strips) for rows in _pieces(tile.r, array.rows))
    words = [
        [tile.macs, tile.macs, 2 * tile.macs],
        [
            tile.weights * tile.p,
            _ceil(tile.m, filters) * tile.c * tile.r * tile.p * tile.in_width,
            columns_of_sums - sums,
        ],
        [tile.weights * strips, filter_rounds * tile.c * in_rows * tile.in_width, 2 * sums],
    ]
    longest = _longest(tile.m, filters, beside) * _longest(tile.c, channels, above)
    return Traffic(strips * folds * longest * tile.q * tile.s, np.array(words))


def sets(tile: Loops, array: Array) -> tuple[int, int, int]:
    """Row stationary: output rows side by side; how many such sets fit beside each other (filters) and above (channels).

    >>> sets(Loops(m=64, c=64, p=5, q=5, r=3, s=3), Array())
    (5, 3, 5)
    """
    strip = min(tile.p, array.columns)
    return strip, array.columns // strip, max(array.rows // tile.r, 1)


@lru_cache(maxsize=1 << 14)
def row_plan(tile: Loops, array: Array) -> tuple[int, int]:
    """Rows of how many filters and channels an element holds: first all elements get work, then registers are filled.

    Of all pairs that fit, the one whose bytes cost least on the network and in the buffer.
    Raises ValueError when not even one row fits.
    """
    _, beside, above = sets(tile, array)
    _, network, buffer, _ = ratios()
    channel_counts = even_sizes(_ceil(tile.c, above))[::-1]
    best, plan = np.inf, None
    for filters in even_sizes(_ceil(tile.m, beside)):
        room = array.register_bytes - filters * array.sum_bytes
        most = room / (tile.s * (filters + 1) * array.word_bytes)
        channels = next((count for count in channel_counts if count <= most), None)
        if channels:
            moved = rows_in_registers(tile, array, filters, channels).words @ _bytes(array)
            cost = network * moved[1] + buffer * moved[2]
            if cost <= best:  # of equals, the most filters
                best, plan = cost, (filters, channels)
    if plan is None:
        need = 2 * tile.s * array.word_bytes + array.sum_bytes
        raise ValueError(
            f"row stationary needs {need:.0f} bytes of registers for a kernel {tile.s} wide; this array has {array.register_bytes}"
        )
    return plan


DATAFLOWS: dict[str, Callable[[Loops, Array], Traffic]] = {
    "weight stationary": weight_stationary,
    "output stationary": output_stationary,
    "row stationary": row_stationary,
    "no local reuse": no_local_reuse,
}


def even_sizes(number: int) -> list[int]:
    """Sizes of the pieces when `number` is cut into 1, 2, 3, ... as equal pieces as possible, smallest first.

    >>> even_sizes(10)
    [1, 2, 3, 4, 5, 10]
    """
    return sorted({_ceil(number, pieces) for pieces in range(1, number + 1)})


def _bytes(array: Array) -> np.ndarray:
    return np.array([array.word_bytes, array.word_bytes, array.sum_bytes])


def _ceil(number: int, size: int) -> int:
    return -(-number // size)


def _pieces(number: int, size: int) -> list[int]:
    """`number` cut into pieces of `size` and a rest."""
    return [min(size, number - start) for start in range(0, number, size)]


def _longest(number: int, size: int, sets: int) -> int:
    """Turns of the busiest element when pieces of `size` are dealt to `sets` elements, round after round."""
    full, rest = divmod(number, size * sets)
    return full * size + min(size, rest)
