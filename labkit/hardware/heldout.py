"""Held-out errors of the Cortex-M model: predictions for measurements that the prediction has not seen.

Held-out network and submitter: the ratios between the three coefficients come from other submitters' systems with the same core;
the system at hand gives only its scale, from three of its networks; the fourth is predicted. This asks what a user asks: my
board is known from a few networks, what will the next one cost?

Held-out board: all coefficients come from other boards with the same core and stack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.hardware import cortex_m, fitting
from labkit.hardware.measurements import BENCHMARKS, System, systems

SHARE = 0.8  # of held-out measurements that an interval is meant to hold


@dataclass(frozen=True)
class HeldOut:
    """One measurement, what was predicted for it, and what MACs alone would have predicted under the same protocol."""

    system: System
    benchmark: str
    measured: float
    predicted: float
    baseline: float

    @property
    def log_error(self) -> float:
        """log(measured / predicted): what an interval around the prediction has to cover."""
        return float(np.log(self.measured / self.predicted))


def geometric_mean(values: np.ndarray) -> float:
    return float(np.exp(np.mean(np.log(values))))


def predict_cycles(system: System, others: list[System], unseen: int, macs_only: bool = False) -> float:
    """Cycles of network `unseen` on `system`: shape of the coefficients from `others`, scale from the other three networks."""
    seen = [i for i in range(len(BENCHMARKS)) if i != unseen]
    collapse = (lambda x: x[:, :2].sum(axis=1, keepdims=True)) if macs_only else (lambda x: x)
    rows, targets = [], []
    for other in others:  # bring each to the speed of this system, so that no system dominates
        speed = geometric_mean(system.cycles[seen] / other.cycles[seen])
        rows.append(collapse(fitting.system_features(other)))
        targets.append(fitting.fitted_cycles(other) * speed)
    shape = fitting.relative_nnls(np.concatenate(rows), np.concatenate(targets))
    predicted = collapse(fitting.system_features(system)) @ shape + fitting.benchmark_plain_cycles(system.core)
    return float(predicted[unseen] * geometric_mean(system.cycles[seen] / predicted[seen]))


def latency(core: str) -> list[HeldOut]:
    """Held-out network and submitter, milliseconds."""
    results = []
    for system in [s for s in systems() if s.core == core]:
        others = _others(system)
        for unseen, benchmark in enumerate(BENCHMARKS):
            cycles = [predict_cycles(system, others, unseen, macs_only) for macs_only in (False, True)]
            predicted, baseline = (c / (system.clock_mhz * 1e3) for c in cycles)
            results.append(HeldOut(system, benchmark, float(system.latency_ms[unseen]), predicted, baseline))
    return results


def energy(core: str) -> list[HeldOut]:
    """The same in microjoules: held-out latency times the mean power of the system's other networks."""
    results = []
    for case in latency(core):
        unseen = BENCHMARKS.index(case.benchmark)
        if not np.isnan(case.system.energy_uj[unseen]):
            power_mw = np.nanmean(np.delete(case.system.power_mw, unseen))
            measured = float(case.system.energy_uj[unseen])
            results.append(HeldOut(case.system, case.benchmark, measured, case.predicted * power_mw, case.baseline * power_mw))
    return results


def board(core: str) -> list[HeldOut]:
    """Every network of a board from other boards with the same core and stack, milliseconds. Empty where there is none."""
    results = []
    groups = fitting.by_board_and_stack()
    for (name, stack), group in groups.items():
        peers = [g for (other, s), g in groups.items() if s == stack and other != name and g[0].core == core]
        if group[0].core != core or not peers:
            continue
        coefficients = np.mean([fitting.fit(peer) for peer in peers], axis=0)
        cycles_per_mac = np.mean([geometric_mean(s.cycles / macs(s)) for peer in peers for s in peer])
        for system in group:
            cycles = fitting.system_features(system) @ coefficients + fitting.benchmark_plain_cycles(core)
            baseline = macs(system) * cycles_per_mac
            for i, benchmark in enumerate(BENCHMARKS):
                predicted = (float(c[i] / (system.clock_mhz * 1e3)) for c in (cycles, baseline))
                results.append(HeldOut(system, benchmark, float(system.latency_ms[i]), *predicted))
    return results


def macs(system: System) -> np.ndarray:
    """MACs of the four networks, as far as the system's stack computes them, ``(4,)``."""
    return fitting.system_features(system)[:, :2].sum(axis=1)


def _others(system: System) -> list[System]:
    """Systems with the same core from other submitters; where there is no other submitter, from the other cores."""
    same = [s for s in systems() if s.core == system.core and s.submitter != system.submitter]
    return same or [s for s in systems() if s.core != system.core and s.submitter != system.submitter]


def interval_factors(cases: list[HeldOut]) -> tuple[float, float]:
    """The factors on a prediction between which `SHARE` of the measurements of `cases` lie; 1 is always between them."""
    tail = (1 - SHARE) / 2
    low, high = np.quantile([case.log_error for case in cases], [tail, 1 - tail])
    return float(np.exp(min(low, 0.0))), float(np.exp(max(high, 0.0)))


def extreme_factors(cases: list[HeldOut]) -> tuple[float, float]:
    """The largest errors seen. For boards, of which there are so few that a quantile would promise too much."""
    errors = [case.log_error for case in cases]
    return float(np.exp(min(errors))), float(np.exp(max(errors)))


def submitter(case: HeldOut) -> str:
    return case.system.submitter


def stack(case: HeldOut) -> str:
    return case.system.stack


def coverage(cases: list[HeldOut], group=submitter, factors=interval_factors) -> float:
    """Share of measurements inside an interval whose width comes from the errors of other groups only."""
    inside = []
    for case in cases:
        others = [c for c in cases if group(c) != group(case)]
        low, high = factors(others or cases)
        inside.append(low <= case.measured / case.predicted <= high)
    return float(np.mean(inside))


def spread(core: str) -> list[tuple[str, float, str]]:
    """Name, value and source of the interval factors of a core, for `catalog/cortex_m_fitted.toml`."""
    every_core = sorted({b.core for b in cortex_m.boards().values()})
    network = "held-out network and submitter"
    energies, energy_source = (energy(core), network) if energy(core) else (energy("M4"), f"{network}, those of Cortex-M4")
    boards, board_source = (board(core), "held-out board, extremes") if board(core) else (
        [case for other in every_core for case in board(other)], "held-out board, extremes over all cores"
    )  # fmt: skip
    near, far = interval_factors(latency(core)), extreme_factors(boards)
    ends = {
        "latency": (near, network),
        "energy": (interval_factors(energies), energy_source),
        "board": ((min(near[0], far[0]), max(near[1], far[1])), board_source),
    }
    return [(f"{name}_{end}", pair[i], source) for name, (pair, source) in ends.items() for i, end in enumerate(("low", "high"))]
