"""The published measurements of Cortex-M boards: MLPerf Tiny, four networks on each submitted system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from labkit.hardware.catalog import read_csv

BENCHMARKS = ("ad", "ic", "kws", "vww")


@dataclass(frozen=True, eq=False)
class System:
    """One submission: a board, a software stack, and its four networks in the order of BENCHMARKS (nan: not measured)."""

    round: str
    submitter: str
    board: str
    core: str
    clock_mhz: float
    stack: str
    latency_ms: np.ndarray  # (4,)
    energy_uj: np.ndarray  # (4,)
    supply_v: np.ndarray  # (4,)
    current_ma: np.ndarray  # (4,)

    @property
    def cycles(self) -> np.ndarray:
        return self.latency_ms * self.clock_mhz * 1e3

    @property
    def power_mw(self) -> np.ndarray:
        return self.supply_v * self.current_ma

    @property
    def name(self) -> str:
        return f"{self.round} {self.submitter} {self.board} {self.stack}"


@cache
def systems() -> tuple[System, ...]:
    """Every submission of `catalog/mlperf_tiny.csv`.

    >>> len(systems()), systems()[0].name
    (50, 'v0.5 reference nucleo-l4r5zi tflm')
    """
    groups: dict[tuple, list] = {}
    for row in read_csv("mlperf_tiny"):
        groups.setdefault((row["round"], row["submitter"], row["system"], row["stack"]), []).append(row)
    return tuple(_system(rows) for rows in groups.values())


def _system(rows: list[dict[str, str]]) -> System:
    by_name = {row["benchmark"]: row for row in rows}
    column = lambda key: np.array([float(by_name[b][key] or "nan") for b in BENCHMARKS])  # noqa: E731
    first = rows[0]
    return System(
        **{key: first[key] for key in ("round", "submitter", "board", "core", "stack")},
        clock_mhz=float(first["clock_mhz"]),
        **{key: column(key) for key in ("latency_ms", "energy_uj", "supply_v", "current_ma")},
    )
