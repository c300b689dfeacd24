"""Folding: how many multipliers each layer gets, so that no layer waits long for another.

PE divides the output channels and SIMD the length of the dot product, so only certain numbers of multipliers exist. A pipeline is
as fast as its slowest stage, hence one number decides: a target for the cycles of a stage. Every layer gets the fewest multipliers
that meet it (as FINN's `target_fps` does), and the fastest design is the smallest target whose circuits still fit the chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labkit.hardware import fpga_resources as resources
from labkit.hardware.fpga_resources import RESOURCES, Flow
from labkit.hardware.fpga_stage import Stage
from labkit.naming import did_you_mean

COLUMNS = ("reuse", "pe", "simd", *RESOURCES)


def divisors(number: int) -> np.ndarray:
    """
    >>> divisors(12)
    array([ 1,  2,  3,  4,  6, 12])
    """
    candidates = np.arange(1, number + 1)
    return candidates[number % candidates == 0]


@dataclass(frozen=True)
class Folding:
    """One row a stage. A stage without weights has no multipliers and a reuse of 0."""

    table: np.ndarray  # (stages, len(COLUMNS))

    def __getitem__(self, column: str) -> np.ndarray:
        return self.table[:, COLUMNS.index(column)]

    @property
    def needs(self) -> dict[str, float]:
        """What all stages and the interface to the board take together."""
        constants = resources.costs()
        shell = {"lut": constants.lut_shell, "bram36": constants.bram_shell}
        return {name: float(self[name].sum()) + shell.get(name, 0.0) for name in RESOURCES}

    def fits(self, capacity: dict[str, int]) -> bool:
        return all(np.ceil(need) <= capacity[name] for name, need in self.needs.items())


@lru_cache(maxsize=1 << 14)
def choices(one: Stage, tool: Flow, capacity: tuple[int, ...]) -> np.ndarray:
    """What a stage can be folded into, ``(choices, len(COLUMNS))``, from the fastest to the slowest: one for each reuse factor.

    PE and SIMD with the same product do the same work in the same time; the pair that takes the smallest share of the chip is kept.
    `capacity` is in the order of RESOURCES.
    """
    if not one.dot:
        lut = resources.costs().lut_per_stage * (one.op in resources.PLAIN_STAGES)
        return np.array([[0, 0, 0, 0, lut, 0]], float)
    pe, simd = (grid.ravel() for grid in np.meshgrid(divisors(one.outputs), divisors(one.dot)))
    needs = [equation(one, pe, simd, tool) for equation in (resources.dsp, resources.lut, resources.bram36)]
    table = np.column_stack([one.products / (pe * simd), pe, simd, *needs])
    share = (table[:, -len(RESOURCES) :] / capacity).sum(1)
    table = table[np.lexsort((share, table[:, 0]))]
    return table[np.unique(table[:, 0], return_index=True)[1]]


def with_reuse(stages: Sequence[Stage], reuse: Sequence[float], tool: Flow, capacity: dict[str, int]) -> Folding:
    """Each stage with the largest reuse factor that exists and does not exceed the one asked for."""
    limits, rows = tuple(capacity[name] for name in RESOURCES), []
    for one, asked in zip(stages, reuse, strict=True):
        table = choices(one, tool, limits)
        rows.append(table[max(int(np.searchsorted(table[:, 0], asked, "right")) - 1, 0)])
    return Folding(np.array(rows))


def for_target(stages: Sequence[Stage], cycles: float, tool: Flow, capacity: dict[str, int], drain: float = 0.0) -> Folding:
    """The fewest multipliers with which every stage is done within `cycles`; all of them where that is not enough."""
    return with_reuse(stages, [cycles / one.positions - drain for one in stages], tool, capacity)


def fastest(stages: Sequence[Stage], least: float, tool: Flow, capacity: dict[str, int], drain: float = 0.0) -> Folding:
    """The folding for the smallest target that fits, not below `least` cycles; the slowest of all where none fits."""
    limits = tuple(capacity[name] for name in RESOURCES)
    times = [one.positions * (choices(one, tool, limits)[:, 0] + drain) for one in stages if one.dot]
    targets = np.unique(np.maximum(np.concatenate(times), least)) if times else np.array([least])
    low, high = 0, len(targets) - 1  # the larger the target, the smaller the circuit
    while low < high:
        middle = (low + high) // 2
        if for_target(stages, targets[middle], tool, capacity, drain).fits(capacity):
            high = middle
        else:
            low = middle + 1
    return for_target(stages, targets[low], tool, capacity, drain)


def asked_reuse(stages: Sequence[Stage], folding: int | dict[str, int]) -> list[float]:
    """The reuse factor of each stage, from one for all or from one for each layer with weights."""
    names = [one.name for one in stages if one.dot]
    if not isinstance(folding, dict):
        folding = dict.fromkeys(names, folding)
    for name, reuse in folding.items():
        if name not in names:
            raise ValueError(f"no layer {name!r} with weights to fold; {did_you_mean(name, names)}")
        if isinstance(reuse, bool) or not isinstance(reuse, (int, np.integer)) or reuse < 1:
            raise ValueError(f"the reuse factor of layer {name!r} is {reuse!r}; give a whole number, 1 for a multiplier a product")
    missing = [name for name in names if name not in folding]
    if missing:
        raise ValueError(
            f"folding leaves out layer {missing[0]!r}; give a reuse factor for every layer with weights, or one for all"
        )
    return [float(folding.get(one.name, 1)) for one in stages]
