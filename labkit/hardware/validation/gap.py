"""GAP9: four networks of MLPerf Tiny v1.0 at two operating points.

The latency has no fitted coefficient, so nothing is held out. The two coefficients of the energy come from the other three
networks. GAP8 and DIANA have no row: no measurement of them was at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.hardware import gap
from labkit.hardware.catalog import read_csv
from labkit.hardware.fitting import relative_nnls
from labkit.hardware.reference import reference
from labkit.hardware.validation.row import Case, Row, rank_correlation, summarise


@dataclass(frozen=True)
class Measured:
    """One network at one operating point."""

    benchmark: str
    clock_mhz: float
    latency_ms: float
    energy_uj: float

    @property
    def cycles(self) -> float:
        return self.latency_ms * self.clock_mhz * 1e3

    @property
    def mega_macs(self) -> float:
        return reference(self.benchmark).macs * 1e-6


def rows() -> list[Row]:
    latency, energy = latency_cases(), energy_cases()
    return [
        summarise("GAP9", "latency", "closed form, nothing fitted", latency, at_most=10.0, rank=_rank(latency)),
        summarise("GAP9", "energy", "held-out network, power from the others", energy, at_most=25.0, rank=_rank(energy)),
    ]


def _rank(cases: list[Case]) -> float:
    """The order of the networks at one operating point; the lower of the two points."""
    points = ("240 MHz", "370 MHz")
    return min(rank_correlation([case for case in cases if case.name.endswith(point)]) for point in points)


def measurements() -> list[Measured]:
    names = ("clock_mhz", "latency_ms", "energy_uj")
    return [Measured(row["benchmark"], *(float(row[name]) for name in names)) for row in read_csv("gap9_mlperf")]


def latency_cases() -> list[Case]:
    """Milliseconds. The baseline has one coefficient, cycles a MAC, from the other networks."""
    cases = []
    for case in measurements():
        predicted = gap.GAP9(int(case.clock_mhz)).estimate(reference(case.benchmark)).latency_ms.mid
        others = [other for other in measurements() if other.benchmark != case.benchmark]
        macs = np.array([[float(reference(other.benchmark).macs)] for other in others])
        cycles_per_mac = relative_nnls(macs, np.array([other.cycles for other in others]))[0]
        baseline = reference(case.benchmark).macs * cycles_per_mac / (case.clock_mhz * 1e3)
        cases.append(Case(f"{case.benchmark}, {case.clock_mhz:g} MHz", case.latency_ms, predicted, baseline))
    return cases


def fit_energy(cases: list[Measured]) -> tuple[float, float]:
    """Base power in mW and picojoules a MAC, least squares of relative errors.

    >>> [round(x, 1) for x in fit_energy([case for case in measurements() if case.clock_mhz == 370])]
    [42.8, 1.2]
    """
    features = np.array([[case.latency_ms, case.mega_macs] for case in cases])
    power_mw, pj_per_mac = relative_nnls(features, np.array([case.energy_uj for case in cases]))
    return float(power_mw), float(pj_per_mac)


def energy_cases() -> list[Case]:
    """Microjoules, from the predicted latency. The baseline is its latency times the mean power of the others."""
    cases = []
    for case, latency in zip(measurements(), latency_cases(), strict=True):
        others = [m for m in measurements() if m.benchmark != case.benchmark and m.clock_mhz == case.clock_mhz]
        power_mw, pj_per_mac = fit_energy(others)
        predicted = latency.predicted * power_mw + case.mega_macs * pj_per_mac
        baseline = latency.baseline * float(np.mean([other.energy_uj / other.latency_ms for other in others]))
        cases.append(Case(latency.name, case.energy_uj, predicted, baseline))
    return cases
