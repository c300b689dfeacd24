"""UltraTrail: cycles, power and area against what HANNAH's authors publish of the chips that their search generated.

Cycles are a closed form, so nothing is held out; the two networks for which the authors' own count falls below zero are left out.
Power and area are predicted from the other networks, or from the chips with another array size. The targets are the authors'
model, not silicon.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit.hardware import ultratrail_fit as fit
from labkit.hardware.fitting import relative_nnls
from labkit.hardware.intervals import conformal_factor
from labkit.hardware.ultratrail_networks import networks
from labkit.hardware.validation.row import Case, Row, rank_correlation, summarise

AT_MOST = 3.0  # per cent


def rows() -> list[Row]:
    exact = cycle_cases()
    found = [
        summarise("UltraTrail", "cycles", "closed form, generated chips", exact, at_most=0.0, rank=rank_correlation(exact)),
    ]
    for quantity in ("power", "area"):
        cases = held_out_cases(quantity)
        found.append(summarise("UltraTrail", quantity, "held-out network", cases, at_most=AT_MOST))
        found.append(summarise("UltraTrail", quantity, "held-out array size", array_size_cases(quantity)))
    return found


def cycle_cases() -> list[Case]:
    held = [network for network in networks() if network.cycles_hold]
    measured = np.array([network.cycles for network in held], dtype=float)
    steps = np.array([network.workload.macs / network.array**2 for network in held])  # as if no multiplier were ever idle
    baseline = _one_coefficient(steps, measured)
    return [
        Case(network.workload.name, network.cycles, fit.totals(network)[0], guess)
        for network, guess in zip(held, baseline, strict=True)
    ]


def held_out_cases(quantity: str) -> list[Case]:
    """Each network from all others; the width of its interval from the errors of the others."""
    predicted, column = fit.held_out(), ("area", "power").index(quantity)
    errors, cases = fit.log_errors(predicted)[:, column], []
    for i, case in enumerate(_cases(column, predicted)):
        factor = conformal_factor(np.delete(errors, i))
        cases.append(replace(case, low=case.predicted / factor, high=case.predicted * factor))
    return cases


def array_size_cases(quantity: str) -> list[Case]:
    """Each network from the chips with arrays of another size."""
    return _cases(("area", "power").index(quantity), fit.held_out(fit.array_size))


def _cases(column: int, predicted: np.ndarray) -> list[Case]:
    measured = fit.published()[:, column]
    baseline = _one_coefficient(np.array([network.workload.macs for network in networks()], dtype=float), measured)
    names = [network.workload.name for network in networks()]
    numbers = zip(names, measured, predicted[:, column], baseline, strict=True)
    return [Case(name, *map(float, values)) for name, *values in numbers]


def _one_coefficient(feature: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Each target predicted as a constant times its feature, the constant from the others."""
    guesses = []
    for i in range(len(target)):
        scale = relative_nnls(np.delete(feature, i)[:, None], np.delete(target, i))
        guesses.append(float(feature[i] * scale[0]))
    return np.array(guesses)
