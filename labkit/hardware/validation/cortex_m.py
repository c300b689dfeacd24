"""Cortex-M: held-out networks, submitters, authors and boards of MLPerf Tiny."""

from __future__ import annotations

from labkit.hardware.validation import cortex_m_heldout as heldout
from labkit.hardware.validation import stm32_model_zoo
from labkit.hardware.validation.cortex_m_heldout import HeldOut
from labkit.hardware.validation.row import Case, Row, rank_correlation, summarise

CORES = ("M4", "M7", "M33")
NETWORK = "held-out network, prior from other authors"
ONE = "one network known, prior from other authors"
BOARD = "held-out board, same core and stack"
PROMISED = {  # per cent
    (NETWORK, "latency"): {"M4": 10, "M7": 6, "M33": 10},
    (NETWORK, "energy"): {"M4": 12, "M7": 12, "M33": 12},
    (ONE, "latency"): {"M4": 15, "M7": 10, "M33": 18},
    (ONE, "energy"): {"M4": 16, "M7": 10, "M33": 18},
    (BOARD, "latency"): {"M4": 22, "M7": 5},
}


def rows() -> list[Row]:
    """Held-out networks, one known network, held-out boards; first the Cortex-M0+, which one submitter alone measured."""
    result = [new_core_row("M0+")]
    for quantity, cases in (("latency", heldout.latency), ("energy", heldout.energy)):
        result += [_row(core, quantity, NETWORK, cases(core), heldout.factors(cases(core)), ranked=True) for core in CORES]
    for quantity, cases in (("latency", heldout.one_network), ("energy", heldout.one_network_energy)):
        result += [_row(core, quantity, ONE, cases(core), heldout.factors(cases(core))) for core in CORES]
    for core in PROMISED[BOARD, "latency"]:
        cases = heldout.board(core)
        result.append(_row(core, "latency", BOARD, cases, heldout.factors_by(cases, lambda system: system.stack)))
    return result + stm32_model_zoo.rows()


def new_core_row(core: str) -> Row:
    """A core that no other author measured: the prior, and the width of the interval, come from the other cores."""
    cases = heldout.latency(core)
    factor = heldout.new_core_factor(heldout.latency, core)
    return _row(core, "latency", "held-out network, prior from other cores", cases, [factor] * len(cases))


def _row(core: str, quantity: str, protocol: str, held_out: list[HeldOut], factors: list[float], ranked: bool = False) -> Row:
    cases = [
        Case(c.name, c.measured, c.predicted, c.baseline, c.predicted / factor, c.predicted * factor)
        for c, factor in zip(held_out, factors, strict=True)
    ]
    return summarise(
        f"Cortex-{core}",
        quantity,
        protocol,
        cases,
        at_most=PROMISED.get((protocol, quantity), {}).get(core),
        rank=rank_correlation(cases) if ranked else None,
    )
