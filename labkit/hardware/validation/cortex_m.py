"""Cortex-M: held-out networks, submitters and boards of MLPerf Tiny."""

from __future__ import annotations

from labkit.hardware import heldout
from labkit.hardware.heldout import HeldOut
from labkit.hardware.validation.row import Case, Row, summarise

CORES = ("M0+", "M4", "M7", "M33")


def rows() -> list[Row]:
    result = []
    for core in CORES:
        shape_from = "other cores" if core == "M0+" else "other submitters"  # one submitter alone measured a Cortex-M0+
        network = f"held-out network, shape from {shape_from}"
        result += _row(core, "latency", network, heldout.latency(core))
        result += _row(core, "energy", network, heldout.energy(core))
        boards = heldout.board(core)
        covered = heldout.coverage(boards, group=heldout.stack, factors=heldout.extreme_factors) if boards else None
        result += _row(core, "latency", "held-out board, same core and stack", boards, covered)
    return result


def _row(core: str, quantity: str, protocol: str, held_out: list[HeldOut], covered: float | None = None) -> list[Row]:
    if not held_out:
        return []
    cases = [Case(f"{c.benchmark}, {c.system.name}", c.measured, c.predicted, c.baseline) for c in held_out]
    covered = heldout.coverage(held_out) if covered is None else covered
    return [summarise(f"Cortex-{core}", quantity, protocol, cases, coverage=covered)]
