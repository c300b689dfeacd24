"""The width of an 80 % interval, from errors on cases that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SHARE = 0.8  # of held-out measurements that an interval is meant to hold


def conformal_factor(log_errors: Sequence[float]) -> float:
    """The next measurement lies within this factor of its prediction with probability `SHARE`, given log(measured/predicted).

    Split conformal prediction (Lei et al., JASA 2018, eq. 3): of n errors, the ceil((n + 1)·0.8)-th largest stands for the 80 %
    quantile, because the next case is one more draw. Under four errors that asks for more than the largest, which is then taken.

    >>> round(conformal_factor(np.log([1.0, 1.1, 0.8, 1.5])), 2)
    1.5
    >>> round(conformal_factor(np.log([1.0, 1.1, 0.8, 1.5, 1.2, 1.1, 1.0, 1.0, 0.99])), 2)
    1.25
    """
    if not len(log_errors):
        raise ValueError("an interval needs errors of other cases; none are left")
    errors = np.sort(np.abs(log_errors))
    rank = min(math.ceil((len(errors) + 1) * SHARE), len(errors))
    return float(np.exp(errors[rank - 1]))


def asymmetric_factors(ratios: Sequence[float]) -> tuple[float, float]:
    """Between these factors of its prediction the next measurement lies with probability `SHARE`, given measured / predicted.

    For errors that lean to one side. Of n cases, the next one exceeds the largest once in n + 1 times (Weibull's plotting
    positions, rank / (n + 1)). 1 is always between the two.

    >>> low, high = asymmetric_factors([0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    >>> round(low, 2), round(high, 2)
    (0.9, 1.7)
    """
    low, high = np.quantile(ratios, [(1 - SHARE) / 2, (1 + SHARE) / 2], method="weibull")
    return min(float(low), 1.0), max(float(high), 1.0)
