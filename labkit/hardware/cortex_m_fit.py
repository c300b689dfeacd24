"""From the published measurements of Cortex-M systems to coefficients: what fits, and their validation, are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from labkit.hardware import cortex_m
from labkit.hardware.fitting import Prior, Samples, learn, posterior
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.measurements import BENCHMARKS, System, systems
from labkit.hardware.reference import reference

ROUGHLY = np.array([1.5, 2.5, 40.0])  # cycles; where learning starts, not where it ends
EVERY = tuple(range(len(BENCHMARKS)))


@cache
def benchmark_features(folds_dead_channels: bool) -> np.ndarray:
    """The three features of the four reference networks, ``(4, 3)``."""
    table = LayerTable.of([reference(name) for name in BENCHMARKS])
    return np.column_stack([table.total(column) for column in cortex_m.features(table, folds_dead_channels).T])


@cache
def plain_cycles(core: str) -> np.ndarray:
    """Cycles of the layers that the three features leave out (pooling, additions), ``(4,)``: assumed, about one per cent."""
    table = LayerTable.of([reference(name) for name in BENCHMARKS])
    return table.total(cortex_m.elementwise_cycles(table, core))


def features(system: System) -> np.ndarray:
    return benchmark_features(cortex_m.stacks()[system.stack].folds_dead_channels.value)


def author(system: System) -> str:
    """Who wrote the software. Some submitters run others' code again, to the microsecond: that is no second opinion."""
    return cortex_m.stacks()[system.stack].author


def by_board_and_stack(group: Sequence[System]) -> dict[tuple[str, str], list[System]]:
    groups: dict[tuple[str, str], list[System]] = {}
    for system in group:
        groups.setdefault((system.board, system.stack), []).append(system)
    return groups


def samples(group: Sequence[System], seen: Sequence[int] = EVERY) -> Samples:
    """The networks `seen` of systems with the same board and stack; of networks measured repeatedly, the geometric mean."""
    cycles = np.exp(np.mean([np.log(system.cycles) for system in group], axis=0))
    seen = list(seen)
    return Samples(features(group[0])[seen], plain_cycles(group[0].core)[seen], cycles[seen])


def learn_prior(group: Sequence[System]) -> Prior:
    """What these systems teach about another one. A board and stack counts once, however often it was submitted."""
    each = [(members[0].core, samples(members)) for members in by_board_and_stack(group).values()]
    stacked = (np.stack([getattr(sample, name) for _, sample in each]) for name in ("features", "known", "measured"))
    return learn(Samples(*stacked), np.array([core for core, _ in each]), ROUGHLY)


def coefficients(group: Sequence[System], prior: Prior, seen: Sequence[int] = EVERY) -> np.ndarray:
    """c_conv, c_fc and c_out ``(3,)`` of systems with the same board and stack: their networks `seen`, shrunk towards the prior."""
    logs, _ = posterior(samples(group, seen), *prior.of(group[0].core), prior.misfit)
    return np.exp(logs)


def predicted_cycles(system: System, c: np.ndarray) -> np.ndarray:
    """Cycles of the four networks under coefficients c, ``(4,)``."""
    return features(system) @ c + plain_cycles(system.core)


@cache
def everything() -> Prior:
    """The prior learnt from every published system."""
    return learn_prior(systems())
