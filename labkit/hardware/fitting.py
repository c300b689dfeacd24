"""Fits the Cortex-M coefficients to published measurements: least squares of relative errors, coefficients not below zero.

``python -m labkit.hardware.fitting`` refits and rewrites `catalog/cortex_m_fitted.toml`; with ``--print`` it only shows it.
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
from scipy.optimize import nnls

from labkit.hardware import cortex_m
from labkit.hardware.catalog import FOLDER
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.measurements import BENCHMARKS, System, systems
from labkit.hardware.reference import reference

UNITS = {"c_conv": "cycles/MAC", "c_fc": "cycles/MAC", "c_out": "cycles/output"}


def relative_nnls(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients c >= 0 that minimise the sum of (features·c / target − 1)².

    Relative errors, because a network of 0.3 M MACs should count as much as one of 12 M.

    >>> relative_nnls(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 5.0]))
    array([2., 3.])
    """
    return nnls(features / target[:, None], np.ones(len(target)))[0]


@cache
def benchmark_features(folds_dead_channels: bool) -> np.ndarray:
    """The three features of the four reference networks, ``(4, 3)``."""
    table = LayerTable.of([reference(name) for name in BENCHMARKS])
    columns = cortex_m.features(table, folds_dead_channels)
    return np.column_stack([table.total(column) for column in columns.T])


@cache
def benchmark_plain_cycles(core: str) -> np.ndarray:
    """Cycles of the layers that the three features leave out (pooling, additions), ``(4,)``: assumed, about one per cent."""
    table = LayerTable.of([reference(name) for name in BENCHMARKS])
    return table.total(cortex_m.elementwise_cycles(table, core))


def system_features(system: System) -> np.ndarray:
    return benchmark_features(cortex_m.stacks()[system.stack].folds_dead_channels.value)


def fitted_cycles(system: System) -> np.ndarray:
    """Measured cycles without the plain layers: what the three coefficients have to explain, ``(4,)``."""
    return system.cycles - benchmark_plain_cycles(system.core)


def fit(group: list[System]) -> np.ndarray:
    """Coefficients (c_conv, c_fc, c_out) of systems with the same board and stack."""
    features = np.concatenate([system_features(system) for system in group])
    return relative_nnls(features, np.concatenate([fitted_cycles(system) for system in group]))


def by_board_and_stack() -> dict[tuple[str, str], list[System]]:
    groups: dict[tuple[str, str], list[System]] = {}
    for system in systems():
        groups.setdefault((system.board, system.stack), []).append(system)
    return groups


def fitted_toml() -> str:
    """The text of `catalog/cortex_m_fitted.toml`: coefficients, currents, and the spread of held-out errors."""
    from labkit.hardware import heldout  # it tests what this file makes, so it imports this file

    lines = ["# Written by `python -m labkit.hardware.fitting` from mlperf_tiny.csv and reference_layers.csv. Do not edit.", ""]
    for (board, stack), group in sorted(by_board_and_stack().items()):
        source = "MLPerf Tiny " + ", ".join(f"{system.round} {system.submitter}" for system in group)
        lines += ["[[fits]]", f'board = "{board}"', f'stack = "{stack}"']
        lines += [_line(name, value, UNITS[name], source, "fitted") for name, value in zip(UNITS, fit(group), strict=True)]
        lines += [*_power_lines(board, group, source), ""]
    for core in sorted({board.core for board in cortex_m.boards().values()}):
        lines += ["[[spreads]]", f'core = "{core}"']
        lines += [_line(name, value, "x", source, "fitted") for name, value, source in heldout.spread(core)]
        lines.append("")
    return "\n".join(lines)


def _power_lines(board: str, group: list[System], source: str) -> list[str]:
    """Mean current behind a linear regulator, mean power behind a switching one; nothing where no energy was measured."""
    name, unit = ("current_ma", "mA") if cortex_m.boards()[board].regulator == "ldo" else ("power_mw", "mW")
    values = np.concatenate([getattr(system, name) for system in group])
    return [] if np.isnan(values).all() else [_line(name, float(np.nanmean(values)), unit, source + ", energy runs", "measured")]


def _line(name: str, value: float, unit: str, source: str, kind: str) -> str:
    return f'{name} = {{ value = {value:.5g}, unit = "{unit}", source = "{source}", kind = "{kind}" }}'


def main() -> None:
    text = fitted_toml()
    if "--print" in sys.argv:
        print(text)
    else:
        (FOLDER / "cortex_m_fitted.toml").write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / 'cortex_m_fitted.toml'}")


if __name__ == "__main__":
    main()
