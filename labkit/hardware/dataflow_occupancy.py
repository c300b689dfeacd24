"""Which elements of an array work: multiplications of each element, for one layer cut into tiles.

Every dataflow deals one loop to the rows and one to the columns, round after round, like cards: with 20 filters on 16 columns, the
first four columns get two filters and the others one. What an element does is the product of its two hands.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware.dataflow_mappings import Array, row_plan, sets
from labkit.hardware.dataflow_tiles import tiles, tiling
from labkit.hardware.loops import Loops


def busy(loops: Loops, dataflow: str, array: Array) -> np.ndarray:
    """Multiplications of each element, ``(rows, columns)``; over the cycles, the share of the time in which it works.

    >>> busy(Loops(m=3, c=1, p=1, q=10, r=1, s=1), "weight stationary", Array(rows=2, columns=2)).tolist()
    [[20, 10], [0, 0]]
    """
    cut = tiling(loops, array)
    return loops.groups * sum(count * _one_tile(tile, dataflow, array) for tile, count in tiles(loops, cut))


def _one_tile(tile: Loops, dataflow: str, array: Array) -> np.ndarray:
    taps, positions = tile.r * tile.s, tile.p * tile.q
    if dataflow == "row stationary":
        return tile.q * tile.s * np.outer(*_row_stationary_hands(tile, array))
    if dataflow == "output stationary":
        return tile.c * taps * np.outer(dealt(positions, array.rows), dealt(tile.m, array.columns))
    return positions * taps * np.outer(dealt(tile.c, array.rows), dealt(tile.m, array.columns))


def _row_stationary_hands(tile: Loops, array: Array) -> tuple[np.ndarray, np.ndarray]:
    """Rows: sets for channels, a row of the kernel each. Columns: sets for filters, a row of the output each."""
    filters, channels = row_plan(tile, array)
    strip, beside, above = sets(tile, array)
    rows = np.outer(dealt(tile.c, above, channels), dealt(tile.r, min(tile.r, array.rows))).ravel()
    columns = np.outer(dealt(tile.m, beside, filters), dealt(tile.p, strip)).ravel()
    return np.pad(rows, (0, array.rows - rows.size)), np.pad(columns, (0, array.columns - columns.size))


def dealt(items: int, hands: int, at_once: int = 1) -> np.ndarray:
    """How many items each hand gets when they are dealt round after round, `at_once` together.

    >>> dealt(10, 4).tolist(), dealt(10, 4, at_once=2).tolist()
    ([3, 3, 2, 2], [4, 2, 2, 2])
    """
    return np.bincount(np.arange(items) // at_once % hands, minlength=hands)
