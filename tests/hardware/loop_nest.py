"""The oracle of the dataflow counts: the loops are run, every element holds real indices, and every word that moves is counted.

It shares the loop orders with `labkit.hardware.dataflow_mappings` (they are the definition of a dataflow) and no formula.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from labkit.hardware.dataflow_mappings import Array, row_plan
from labkit.hardware.dataflow_tiles import tiling
from labkit.hardware.loops import Loops

REGISTERS, NETWORK, BUFFER, DRAM = range(4)
WEIGHTS, INPUTS, SUMS = range(3)


class Counted:
    """A small accelerator that counts."""

    def __init__(self, loops: Loops, array: Array):
        self.loops, self.array = loops, array
        self.words = np.zeros((4, 3), dtype=int)
        self.cycles = self.macs = 0
        self.in_buffer: set = set()  # sums that were written to the buffer before
        self.done: Counter = Counter()  # how many products each sum has received
        self.work = np.zeros((array.rows, array.columns), dtype=int)  # products of each element

    def deliver(self, number: int, needs: list[tuple]) -> None:
        """One word for every element that needs it; those that take the same word at the same time share one read."""
        self.words[NETWORK, number] += len(needs)
        self.words[BUFFER, number] += len(set(needs))

    def store(self, which) -> None:
        """A sum goes to the buffer; if it has been there before, it was read first."""
        self.words[BUFFER, SUMS] += 1 + (which in self.in_buffer)
        self.in_buffer.add(which)

    def multiply(self, element, which) -> None:
        self.macs += 1
        self.done[which] += 1
        self.work[element] += 1

    def source(self, g, c, y, x, r, s) -> tuple:
        return g, c, y * self.loops.stride_y + r, x * self.loops.stride_x + s


def run(loops: Loops, array: Array, dataflow: str) -> Counted:
    """Runs the layer tile by tile."""
    machine = Counted(loops, array)
    cut = tiling(loops, array)
    cuts = [_blocks(range(bound), size) for bound, size in ((loops.m, cut.m), (loops.p, cut.p), (loops.c, cut.c))]
    for g in range(loops.groups):
        lying = {WEIGHTS: None, INPUTS: None}
        outside = itertools.product(cuts[0], cuts[1]) if cut.filters_outside else itertools.product(cuts[1], cuts[0])
        for first, second in outside:
            filters, rows = (first, second) if cut.filters_outside else (second, first)
            for channels in cuts[2]:
                if array.external_memory:
                    _load(machine, lying, g, filters, rows, channels)
                ONE_TILE[dataflow](machine, g, filters, rows, channels)
    if array.external_memory:
        machine.words[DRAM, SUMS] = len(machine.done)
    return machine


def _load(machine, lying, g, filters, rows, channels) -> None:
    loops = machine.loops
    weights = set(itertools.product(filters, channels, range(loops.r), range(loops.s)))
    places = itertools.product(channels, rows, range(loops.q), range(loops.r), range(loops.s))
    inputs = {machine.source(g, c, y, x, r, s) for c, y, x, r, s in places}
    for number, tile in ((WEIGHTS, weights), (INPUTS, inputs)):
        if tile != lying[number]:
            machine.words[DRAM, number] += len(tile)
            lying[number] = tile


def weight_stationary(machine, g, filters, rows, channels) -> None:
    _column_sums(machine, g, filters, rows, channels, positions_inside=True)


def no_local_reuse(machine, g, filters, rows, channels) -> None:
    _column_sums(machine, g, filters, rows, channels, positions_inside=False)


def _column_sums(machine, g, filters, rows, channels, positions_inside) -> None:
    loops, array = machine.loops, machine.array
    for on_columns in _blocks(filters, array.columns):
        places = list(itertools.product(rows, range(loops.q)))
        turns = list(itertools.product(_blocks(channels, array.rows), range(loops.r), range(loops.s)))
        both = itertools.product(turns, places) if positions_inside else ((t, p) for p, t in itertools.product(places, turns))
        held: dict = {}
        for (on_rows, r, s), (y, x) in both:
            elements = list(itertools.product(on_rows, on_columns))
            weights = [(c, m, r, s) for c, m in elements]
            if positions_inside:  # a register for one weight
                fresh = [w for element, w in zip(elements, weights, strict=True) if held.get(element) != w]
                held = dict(zip(elements, weights, strict=True))
                machine.words[REGISTERS, WEIGHTS] += len(elements)
            else:
                fresh = weights
            machine.deliver(WEIGHTS, fresh)
            machine.deliver(INPUTS, [machine.source(g, c, y, x, r, s) for c, _ in elements])
            for c, m in elements:
                machine.multiply((on_rows.index(c), on_columns.index(m)), (g, m, y, x))
            for m in on_columns:
                machine.words[NETWORK, SUMS] += len(on_rows) - 1
                machine.store((g, m, y, x))
            machine.cycles += 1


def output_stationary(machine, g, filters, rows, channels) -> None:
    loops, array = machine.loops, machine.array
    places = list(itertools.product(rows, range(loops.q)))
    for on_columns, on_rows in itertools.product(_blocks(filters, array.columns), _blocks(places, array.rows)):
        elements = list(itertools.product(on_columns, on_rows))
        for c, r, s in itertools.product(channels, range(loops.r), range(loops.s)):
            machine.deliver(WEIGHTS, [(m, c, r, s) for m, _ in elements])
            machine.deliver(INPUTS, [machine.source(g, c, y, x, r, s) for _, (y, x) in elements])
            for m, (y, x) in elements:
                machine.multiply((on_rows.index((y, x)), on_columns.index(m)), (g, m, y, x))
            machine.words[REGISTERS, SUMS] += 2 * len(elements)
            machine.cycles += 1
        for m, (y, x) in elements:
            machine.store((g, m, y, x))


def row_stationary(machine, g, filters, rows, channels) -> None:
    """An element: filters and channels it holds, its row of the filter, its row of the output."""
    loops, array = machine.loops, machine.array
    tile = Loops(len(filters), len(channels), len(rows), loops.q, loops.r, loops.s, loops.stride_y, loops.stride_x)
    held_filters, held_channels = row_plan(tile, array)
    strip = min(len(rows), array.columns)
    beside, above = array.columns // strip, max(array.rows // loops.r, 1)
    for some_filters, some_rows in itertools.product(_blocks(filters, held_filters * beside), _blocks(rows, strip)):
        for some_channels, taps in itertools.product(_blocks(channels, held_channels * above), _blocks(range(loops.r), array.rows)):
            elements = {}
            sets = itertools.product(
                enumerate(_blocks(some_channels, held_channels)), enumerate(taps), enumerate(_blocks(some_filters, held_filters))
            )
            for (up, cs), (row, r), (along, ms) in sets:
                for column, y in enumerate(some_rows):
                    elements[up * loops.r + row, along * strip + column] = ms, cs, r, y
            _slide(machine, g, elements)


def _slide(machine, g, elements) -> None:
    """All elements of a pass slide along their rows in step."""
    loops, array = machine.loops, machine.array
    machine.deliver(
        WEIGHTS, [(m, c, r, s) for ms, cs, r, _ in elements.values() for m, c, s in itertools.product(ms, cs, range(loops.s))]
    )
    windows = {element: set() for element in elements}
    for x in range(loops.q):
        fresh, busiest, columns = [], 0, Counter()
        for element, (ms, cs, r, y) in elements.items():
            window = {machine.source(g, c, y, x, r, s) for c, s in itertools.product(cs, range(loops.s))}
            fresh += list(window - windows[element])
            windows[element] = window
            registers = array.word_bytes * (len(ms) * len(cs) * loops.s + len(window)) + array.sum_bytes * len(ms)
            assert registers <= array.register_bytes
            products = len(ms) * len(cs) * loops.s
            for m in itertools.islice(itertools.cycle(ms), products):
                machine.multiply(element, (g, m, y, x))
            machine.words[REGISTERS] += np.array([products, products, 2 * products])
            busiest = max(busiest, products)
            columns.update((g, m, y, x) for m in ms)
        machine.deliver(INPUTS, fresh)
        for which, length in columns.items():  # the elements above each other add up their sums of this place
            machine.words[NETWORK, SUMS] += length - 1
            machine.store(which)
        machine.cycles += busiest


ONE_TILE = {
    "weight stationary": weight_stationary,
    "output stationary": output_stationary,
    "row stationary": row_stationary,
    "no local reuse": no_local_reuse,
}


def _blocks(items, size: int) -> list:
    items = list(items)
    return [tuple(items[i : i + size]) for i in range(0, len(items), size)]
