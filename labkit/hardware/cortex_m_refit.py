"""``python -m labkit.hardware.cortex_m_refit`` writes `catalog/cortex_m_fitted.toml` anew; with ``--print`` it only shows it.

Coefficients and currents of every measured board and stack, and the factors of the 80 % intervals, from `labkit validate`'s cases.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.hardware import cortex_m, cortex_m_fit
from labkit.hardware.catalog import line, rewrite
from labkit.hardware.intervals import conformal_factor
from labkit.hardware.measurements import System, systems
from labkit.hardware.validation import cortex_m_heldout as heldout
from labkit.hardware.validation.cortex_m_heldout import HeldOut

UNITS = {"c_conv": "cycles/MAC", "c_fc": "cycles/MAC", "c_out": "cycles/output"}


def fitted_toml() -> str:
    """The text of `catalog/cortex_m_fitted.toml`."""
    prior = cortex_m_fit.everything()
    lines = [
        "# Written by `python -m labkit.hardware.cortex_m_refit` from mlperf_tiny.csv and reference_layers.csv. Do not edit.",
        f"# Prior, as standard deviations of logarithms: speed {prior.speed:.3f}, own {prior.own:.3f}, misfit {prior.misfit:.3f}.",
        "",
    ]
    for (board, stack), group in sorted(cortex_m_fit.by_board_and_stack(systems()).items()):
        source = "MLPerf Tiny " + ", ".join(f"{system.round} {system.submitter}" for system in group)
        values = cortex_m_fit.coefficients(group, prior)
        lines += ["[[fits]]", f'board = "{board}"', f'stack = "{stack}"']
        lines += [line(name, value, UNITS[name], source) for name, value in zip(UNITS, values, strict=True)]
        lines += [*_power_lines(board, group, source), ""]
    for core in sorted({board.core for board in cortex_m.boards().values()}):
        lines += ["[[spreads]]", f'core = "{core}"', *(line(*entry) for entry in spread(core)), ""]
    return "\n".join(lines)


def spread(core: str) -> list[tuple[str, float, str, str]]:
    """Name, value, unit and source of the interval factors of a core. What nobody measured on it has the widest other core's.

    So has an unmeasured board, always: three pairs of boards are all that the table holds.
    """
    network, one, board = "held-out network and author", "one network known", "held-out board"
    if core == "M0+":
        latency = heldout.new_core_factor(heldout.latency, core), f"{network}, the widest of the other cores without their own"
        one_latency = heldout.new_core_factor(heldout.one_network, core), f"{one}, the widest of the other cores without their own"
    else:
        latency = _of(heldout.latency(core)), network
        one_latency = _of(heldout.one_network(core)), one
    entries = {
        "latency": latency,
        "energy": _own_or_widest(heldout.energy, core, network),
        "one_latency": one_latency,
        "one_energy": _own_or_widest(heldout.one_network_energy, core, one),
        "board": (_widest(heldout.board), f"{board}, the widest of all cores"),
    }
    return [(name, value, "x", source) for name, (value, source) in entries.items()]


def _own_or_widest(protocol: Callable[[str], list[HeldOut]], core: str, source: str) -> tuple[float, str]:
    return (_of(protocol(core)), source) if protocol(core) else (_widest(protocol), f"{source}, the widest of the other cores")


def _widest(protocol: Callable[[str], list[HeldOut]]) -> float:
    return max(_of(protocol(core)) for core in {system.core for system in systems()} if protocol(core))


def _of(cases: list[HeldOut]) -> float:
    return conformal_factor([case.log_error for case in cases])


def _power_lines(board: str, group: list[System], source: str) -> list[str]:
    """Mean current behind a linear regulator, mean power behind a switching one; nothing where no energy was measured."""
    name, unit = ("current_ma", "mA") if cortex_m.boards()[board].regulator == "ldo" else ("power_mw", "mW")
    values = np.concatenate([getattr(system, name) for system in group])
    return [] if np.isnan(values).all() else [line(name, float(np.nanmean(values)), unit, source + ", energy runs", "measured")]


if __name__ == "__main__":
    rewrite("cortex_m_fitted", fitted_toml())
