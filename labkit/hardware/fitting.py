"""How coefficients come out of measurements: least squares alone, or a compromise with what others' measurements taught.

A software stack was measured on four networks and has three coefficients, so its own fit flatters itself. Between stacks there is
order, though: software is faster or slower as a whole, and each coefficient departs a little on its own. With that as a prior, a
coefficient that few measurements determine stays near the usual one (empirical Bayes; Gelman et al., Bayesian Data Analysis,
chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

UNSEEN_SPEED = 1.0  # a group that nobody measured may be e times as fast or as slow
ROUNDS = 30  # of learning; the deviations change by less than a thousandth after that
STEPS = 8  # of Gauss-Newton, none longer than LONGEST; four are enough from a good start
LONGEST = 0.5


def relative_nnls(features: np.ndarray, target: np.ndarray, known: np.ndarray | float = 0.0) -> np.ndarray:
    """Coefficients c >= 0 that minimise the sum of ((features·c + known) / target − 1)².

    Relative errors, because a network of 0.3 M MACs should count as much as one of 12 M.

    >>> relative_nnls(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 5.0]))
    array([2., 3.])
    """
    return nnls(features / target[:, None], 1 - known / target)[0]


@dataclass(frozen=True)
class Samples:
    """Measured systems: ``measured ≈ features @ exp(log coefficients) + known``. Leading axes are systems: none, or many."""

    features: np.ndarray  # (..., measurements, coefficients)
    known: np.ndarray  # (..., measurements) what needs no coefficient
    measured: np.ndarray  # (..., measurements)

    def residuals(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log(predicted / measured) ``(..., n)``, and its slopes ``(..., n, k)``: the share of each coefficient in the cost."""
        parts = self.features * np.exp(logs)[..., None, :]
        predicted = parts.sum(axis=-1) + self.known
        return np.log(predicted / self.measured), parts / predicted[..., None]


@dataclass(frozen=True)
class Prior:
    """What is known of a system before it is measured: log coefficients ~ N(mean of its group, own²·1 + speed²·ones).

    A group is, for microcontrollers, a core. Three deviations tell the rest: `speed` moves all coefficients together, `own` each by
    itself, and `misfit` is what the equation cannot explain even with the best coefficients.
    """

    mean: dict[str, np.ndarray]  # group: (coefficients,)
    speed: float
    own: float
    misfit: float

    def of(self, group: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean ``(k,)`` and covariance ``(k, k)``. An unseen group has the mean of the others, and may have any speed."""
        seen = group in self.mean
        mean = self.mean[group] if seen else np.mean(list(self.mean.values()), axis=0)
        return mean, self.own**2 * np.eye(len(mean)) + (self.speed if seen else UNSEEN_SPEED) ** 2


def posterior(samples: Samples, mean: np.ndarray, covariance: np.ndarray, misfit: float) -> tuple[np.ndarray, np.ndarray]:
    """The most likely log coefficients ``(..., k)``, and their covariance ``(..., k, k)``, by Gauss-Newton.

    They minimise Σ (log predicted/measured)² / misfit² + (logs − mean)ᵀ covariance⁻¹ (logs − mean): the prior's with no
    measurement, those of least squares with many.

    >>> fourfold = Samples(np.array([[100.0]]), np.zeros(1), np.array([400.0]))
    >>> logs, _ = posterior(fourfold, np.log([2.0]), np.array([[0.05**2]]), misfit=0.05)
    >>> np.exp(logs).round(2)  # measured 4, expected 2, equally sure of both
    array([2.83])
    """
    precision = np.linalg.inv(covariance)
    logs = np.broadcast_to(mean, samples.features.shape[:-2] + samples.features.shape[-1:])
    for _ in range(STEPS):
        errors, slopes = samples.residuals(logs)
        curvature = slopes.mT @ slopes / misfit**2 + precision
        gradient = slopes.mT @ errors[..., None] / misfit**2 + precision @ (logs - mean)[..., None]
        logs = logs - np.clip(np.linalg.solve(curvature, gradient)[..., 0], -LONGEST, LONGEST)
    _, slopes = samples.residuals(logs)
    return logs, np.linalg.inv(slopes.mT @ slopes / misfit**2 + precision)


def learn(samples: Samples, groups: np.ndarray, start: np.ndarray) -> Prior:
    """The prior under which many systems look likely, by expectation maximisation: fit all, see how they differ, fit again.

    `groups` are names ``(systems,)``, `start` rough coefficients ``(k,)``. The scatter counts what a fit leaves open (its
    covariance), so that a badly determined coefficient does not pass for one that never varies.
    """
    names = sorted(set(groups))
    prior = Prior({name: np.log(start) for name in names}, speed=0.5, own=0.5, misfit=0.05)
    k = len(start)
    for _ in range(ROUNDS):
        means, covariances = (np.array(column) for column in zip(*map(prior.of, groups), strict=True))
        logs, open_ = posterior(samples, means, covariances, prior.misfit)
        mean = {name: logs[groups == name].mean(axis=0) for name in names}
        away = logs - np.array([mean[name] for name in groups])
        scatter = np.mean(open_ + away[:, :, None] * away[:, None, :], axis=0)
        together = (scatter.sum() - np.trace(scatter)) / (k * (k - 1))  # two coefficients share nothing but the speed
        alone = np.trace(scatter) / k - together
        errors, slopes = samples.residuals(logs)
        misfit = np.mean(errors**2 + np.einsum("snj,sjk,snk->sn", slopes, open_, slopes))
        prior = Prior(mean, *(float(np.sqrt(max(square, 1e-6))) for square in (together, alone, misfit)))
    return prior
