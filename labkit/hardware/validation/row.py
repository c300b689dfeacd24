"""One line of ``labkit validate``: how far a hardware model is from measurements that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import spearmanr


@dataclass(frozen=True)
class Case:
    """One measurement and what was predicted for it. `baseline` is what MACs alone would have said under the same protocol.

    `low` and `high` are the ends of the 80 % interval, where its width comes from the errors of other cases.
    """

    name: str
    measured: float
    predicted: float
    baseline: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def error(self) -> float:
        """Per cent of the measurement."""
        return 100 * abs(self.predicted / self.measured - 1)


@dataclass(frozen=True)
class Row:
    """Errors in per cent of the measurement. `baseline_mape` is the same protocol with MACs alone.

    `coverage80` is the share (0 to 1) of measurements inside the 80 % interval, `rank` Spearman's correlation over networks, and
    `at_most` the mean error that we promise; a test holds the row to it. None where there is no such thing.
    """

    family: str
    quantity: str
    protocol: str
    n: int
    mape: float
    median: float
    worst: float
    worst_case: str
    baseline_mape: float | None = None
    coverage80: float | None = None
    rank: float | None = None
    at_most: float | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def summarise(
    family: str,
    quantity: str,
    protocol: str,
    cases: Sequence[Case],
    *,
    at_most: float | None = None,
    rank: float | None = None,
    coverage: float | None = None,
) -> Row:
    """The row of some cases. Coverage is counted from their intervals unless it is given.

    >>> cases = [Case("a", 10.0, 11.0, low=9.0, high=12.0), Case("b", 10.0, 10.0, low=9.0, high=9.5)]
    >>> row = summarise("toy", "latency", "by hand", cases)
    >>> round(row.mape, 3), row.worst_case, row.coverage80
    (5.0, 'a', 0.5)
    """
    errors = np.array([case.error for case in cases])
    baselines = [100 * abs(case.baseline / case.measured - 1) for case in cases if case.baseline is not None]
    if coverage is None and all(case.low is not None for case in cases):
        coverage = float(np.mean([case.low <= case.measured <= case.high for case in cases]))
    return Row(
        family=family,
        quantity=quantity,
        protocol=protocol,
        n=len(cases),
        mape=float(errors.mean()),
        median=float(np.median(errors)),
        worst=float(errors.max()),
        worst_case=cases[int(errors.argmax())].name if errors.any() else "none",
        baseline_mape=float(np.mean(baselines)) if baselines else None,
        coverage80=coverage,
        rank=rank,
        at_most=at_most,
    )


def rank_correlation(cases: Sequence[Case]) -> float:
    """Spearman's correlation of predictions and measurements: does the model put networks into the right order?"""
    return float(spearmanr([case.measured for case in cases], [case.predicted for case in cases]).statistic)
