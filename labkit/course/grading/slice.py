"""Which of a lab's cells a grade needs: those that answers and checks can feel, and no demonstrations.

A program slice (Weiser, "Program slicing", IEEE TSE 10(4), 1984) of a notebook by cells, read off the syntax tree (reading.py): a
cell is kept if it may bind or change a name that a kept cell below it may read. In doubt a cell is kept. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.course.grading.reading import Reading, origins, read
from labkit.course.grading.records import Cell


def needed(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells that are run: all answers and checks, and of the given cells and the student's helpers those they need.

    >>> np, plot = Cell("np", "given", "import numpy as np"), Cell("plot", "given", "plt.plot(f(3))")
    >>> answer, check = Cell("a", "answer", "def f(x): return 2 * x"), Cell("c", "check", "check.value(f(np.pi))")
    >>> [cell.id for cell in needed([np, answer, plot, check])]
    ['np', 'a', 'c']
    """
    imported = origins(cell.source for cell in cells)
    readings = [read(cell.source, imported) for cell in cells]
    _complete(readings)
    roots = [cell.kind in ("answer", "check") for cell in cells]
    end = max((i for i, root in enumerate(roots) if root), default=0)
    keep = [root or (reading.dynamic and i < end) for i, (root, reading) in enumerate(zip(roots, readings, strict=True))]
    felt: dict[str, set[tuple[int, int]]] = {}  # a name, and between which places what is done to it is felt
    work = [i for i, kept in enumerate(keep) if kept]
    while work:
        for i in work:
            for name in readings[i].reads:
                felt.setdefault(name, set()).add((_last_binding(cells, readings, name, i), i))
            for name in readings[i].later:  # a function may be called up to the end
                felt.setdefault(name, set()).add((0, end))
        work = [
            i
            for i, reading in enumerate(readings)
            if not keep[i] and any(a <= i < b for name in reading.binds | reading.changes for a, b in felt.get(name, ()))
        ]
        for i in work:
            keep[i] = True
    return tuple(cell for cell, kept in zip(cells, keep, strict=True) if kept)


def _last_binding(cells: Sequence[Cell], readings: list[Reading], name: str, before: int) -> int:
    """The place of the last cell of the lab that binds a name anew, so that what was done to it earlier is forgotten."""
    places = (i for i in range(before - 1, -1, -1) if cells[i].kind in ("given", "check") and name in readings[i].sure)
    return next(places, 0)


def _complete(readings: list[Reading]) -> None:
    """Adds to what a cell changes: what the functions that it uses change, and whatever shares an object with what it changes."""
    variables = set().union(*(reading.variables for reading in readings))
    functions: dict[str, Reading] = {}
    for reading in readings:
        for name, inner in reading.functions.items():  # of two functions of a name, either may be meant
            functions[name] = inner.also(functions.get(name, Reading()))
    group: dict[str, set[str]] = {}
    pairs = {(a, held) for reading in readings for a, b in reading.aliases for held in {b} | _behind({b}, functions)}
    for a, b in sorted(pair for pair in pairs if variables.issuperset(pair)):
        joint = group.get(a, {a}) | group.get(b, {b})
        group.update(dict.fromkeys(joint, joint))
    for reading in readings:
        reading.reads |= _behind(reading.used, functions)
        reading.later |= _behind(reading.later | reading.kept, functions)
        for name in (reading.used | reading.names) & functions.keys():
            inner = functions[name]
            reading.changes |= inner.changes | inner.binds | (inner.passed & variables)
        reading.changes |= reading.passed & variables
        reading.changes |= {other for name in reading.changes for other in group.get(name, ())}


def _behind(names: set[str], functions: dict[str, Reading]) -> set[str]:
    """The names that functions of these names use, and the functions that those use."""
    found: set[str] = set()
    work = set(names)
    while work:
        new = set().union(*(functions[name].names | functions[name].used for name in work if name in functions)) - found
        found |= new
        work = new
    return found
