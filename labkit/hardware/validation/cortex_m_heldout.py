"""Predictions of Cortex-M measurements that the prediction has not seen, by three protocols.

- `latency`, `energy`: three networks of a system are known, the fourth is predicted. This asks what a user asks: my board is known
  from a few networks, what will the next one cost? The prior comes from systems with another submitter and another author's code.
- `one_network`: one network is known, the others are predicted from the usual ratios of the coefficients. So does `calibrated`.
- `board`: nothing of a board is known, all comes from other boards with the same core and stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from labkit.hardware import cortex_m_fit
from labkit.hardware.cortex_m_fit import EVERY, author, predicted_cycles
from labkit.hardware.fitting import Prior
from labkit.hardware.intervals import conformal_factor
from labkit.hardware.measurements import BENCHMARKS, System, systems


@dataclass(frozen=True)
class HeldOut:
    """One measurement, what was predicted for it, and what MACs alone would have predicted under the same protocol."""

    system: System
    benchmark: str
    measured: float
    predicted: float
    baseline: float

    @property
    def name(self) -> str:
        return f"{self.benchmark}, {self.system.name}"

    @property
    def log_error(self) -> float:
        """log(measured / predicted): what an interval around the prediction has to cover."""
        return float(np.log(self.measured / self.predicted))


@cache
def latency(core: str, without_core: bool = False) -> list[HeldOut]:
    """Held-out network, submitter and author, milliseconds; four cases a system. `without_core` holds out its core as well."""
    cases = []
    for system in with_core(core):
        prior = _prior_for(system.submitter, author(system), core if without_core else "")
        for unseen in EVERY:
            seen = [i for i in EVERY if i != unseen]
            cycles = predicted_cycles(system, cortex_m_fit.coefficients([system], prior, seen))[unseen]
            cases.append(_case(system, unseen, cycles, macs_alone(system, unseen, seen)))
    return cases


@cache
def energy(core: str) -> list[HeldOut]:
    """The same in microjoules: held-out latency times the mean power of the system's other networks."""
    cases = []
    for case in latency(core):
        unseen = BENCHMARKS.index(case.benchmark)
        if not np.isnan(case.system.energy_uj[unseen]):
            cases.append(_as_energy(case, np.nanmean(np.delete(case.system.power_mw, unseen))))
    return cases


@cache
def one_network(core: str, without_core: bool = False) -> list[HeldOut]:
    """Scale from one network, ratios of the coefficients from the prior's mean, milliseconds; twelve cases a system."""
    cases = []
    for system in with_core(core):
        mean, _ = _prior_for(system.submitter, author(system), core if without_core else "").of(core)
        usual = predicted_cycles(system, np.exp(mean))
        for seen in EVERY:
            for unseen in [i for i in EVERY if i != seen]:
                cycles = usual[unseen] * system.cycles[seen] / usual[seen]
                cases.append(_case(system, unseen, cycles, macs_alone(system, unseen, [seen])))
    return cases


@cache
def one_network_energy(core: str) -> list[HeldOut]:
    """The same in microjoules: power, too, is known from the one network."""
    cases = []
    for i, case in enumerate(one_network(core)):
        seen, unseen = i // (len(EVERY) - 1) % len(EVERY), BENCHMARKS.index(case.benchmark)
        power_mw = case.system.power_mw[seen]
        if not np.isnan(power_mw * case.system.energy_uj[unseen]):
            cases.append(_as_energy(case, power_mw))
    return cases


@cache
def board(core: str) -> list[HeldOut]:
    """Every network of a board from other boards with the same core and stack, milliseconds. Empty where there is none."""
    cases = []
    groups = cortex_m_fit.by_board_and_stack(with_core(core))
    for (name, stack), group in groups.items():
        peers = [peer for (other, s), peer in groups.items() if s == stack and other != name]
        if peers:
            prior = cortex_m_fit.learn_prior([s for s in systems() if s.board != name])
            usual = np.exp(np.mean([np.log(cortex_m_fit.coefficients(peer, prior)) for peer in peers], axis=0))
            per_mac = np.exp(np.mean([np.log(s.cycles / macs(s)) for peer in peers for s in peer]))
            for system in group:
                cycles = predicted_cycles(system, usual)
                cases += [_case(system, i, cycles[i], macs(system)[i] * per_mac) for i in EVERY]
    return cases


def macs(system: System) -> np.ndarray:
    """MACs of the four networks, as far as the system's stack computes them, ``(4,)``."""
    return cortex_m_fit.features(system)[:, :2].sum(axis=1)


def macs_alone(system: System, unseen: int, seen: list[int]) -> float:
    """The baseline: cycles per MAC, the geometric mean of the networks `seen`, times the MACs of the one that is not."""
    return macs(system)[unseen] * np.exp(np.mean(np.log(system.cycles[seen] / macs(system)[seen])))


def factors(cases: list[HeldOut]) -> list[float]:
    """For each case the factor of its 80 % interval, from the errors of other authors' software alone.

    Where one author alone was measured, from other submitters' runs of it.
    """
    authors = {author(case.system) for case in cases}
    return factors_by(cases, (lambda s: author(s)) if len(authors) > 1 else (lambda s: s.submitter))


def factors_by(cases: list[HeldOut], group: Callable[[System], str]) -> list[float]:
    """For each case the factor of its 80 % interval, from the errors of systems in another `group` alone."""
    by_group = {
        mine: conformal_factor([case.log_error for case in cases if group(case.system) != mine])
        for mine in {group(case.system) for case in cases}
    }
    return [by_group[group(case.system)] for case in cases]


def new_core_factor(protocol: Callable[..., list[HeldOut]], core: str) -> float:
    """The factor for a core from which no other author learnt: the widest of the other cores', each predicted without its own.

    Cores are the draws here, and of three the largest is all that one can honestly take for a quantile.
    """
    cores = sorted({system.core for system in systems()} - {core})
    return max(conformal_factor([case.log_error for case in protocol(other, without_core=True)]) for other in cores)


def with_core(core: str) -> list[System]:
    return [system for system in systems() if system.core == core]


@cache
def _prior_for(submitter: str, written_by: str, without_core: str) -> Prior:
    """Learnt from systems that share neither submitter nor author of the software, nor the core where one is named."""
    group = [s for s in systems() if s.submitter != submitter and author(s) != written_by and s.core != without_core]
    return cortex_m_fit.learn_prior(group)


def _case(system: System, unseen: int, cycles: float, baseline: float) -> HeldOut:
    milliseconds = (float(c / (system.clock_mhz * 1e3)) for c in (cycles, baseline))
    return HeldOut(system, BENCHMARKS[unseen], float(system.latency_ms[unseen]), *milliseconds)


def _as_energy(case: HeldOut, power_mw: float) -> HeldOut:
    measured = float(case.system.energy_uj[BENCHMARKS.index(case.benchmark)])
    return HeldOut(case.system, case.benchmark, measured, case.predicted * power_mw, case.baseline * power_mw)
