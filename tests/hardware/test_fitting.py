"""Least squares of relative errors, and the compromise between a system's own fit and what other systems teach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from labkit.hardware.fitting import UNSEEN_SPEED, Prior, Samples, learn, posterior, relative_nnls

FEATURES = np.array([[0.0, 264_192, 1672], [12_500_992, 640, 86_026], [2_656_000, 768, 72_012], [7_489_152, 512, 231_554]])
MEAN = np.log([1.9, 2.9, 55.0])


def system(logs, noise=0.0, seed=0) -> Samples:
    cycles = FEATURES @ np.exp(logs)
    return Samples(FEATURES, np.zeros(4), cycles * np.exp(noise * np.random.default_rng(seed).standard_normal(4)))


def test_relative_least_squares_against_a_grid():
    """scipy's answer is no worse than any point of a fine grid around it."""
    features = np.array([[1.0, 4.0], [3.0, 1.0], [2.0, 2.0], [5.0, 0.5]])
    target = np.array([10.0, 7.0, 9.5, 8.0])
    loss = lambda c: np.sum((features @ c / target - 1) ** 2)  # noqa: E731
    best = relative_nnls(features, target)
    grid = [np.array([a, b]) for a in np.linspace(0, 5, 101) for b in np.linspace(0, 5, 101)]
    assert loss(best) <= min(loss(point) for point in grid) + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_the_posterior_is_the_minimum_that_scipy_finds(seed):
    """An independent minimiser, no derivatives; and the covariance from slopes by differences."""
    rng = np.random.default_rng(seed)
    sample = system(MEAN + 0.4 * rng.standard_normal(3), noise=0.1, seed=seed)
    covariance, misfit = 0.15**2 * np.eye(3) + 0.22**2, 0.05

    def loss(logs):
        errors = np.log((FEATURES @ np.exp(logs)) / sample.measured) / misfit
        away = logs - MEAN
        return errors @ errors + away @ np.linalg.solve(covariance, away)

    logs, open_ = posterior(sample, MEAN, covariance, misfit)
    found = minimize(loss, MEAN, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10_000})
    assert logs == pytest.approx(found.x, abs=1e-5)
    h = 1e-6 * np.eye(3)
    slopes = np.array([np.log(FEATURES @ np.exp(logs + a)) - np.log(FEATURES @ np.exp(logs - a)) for a in h]).T / 2e-6
    assert np.linalg.inv(open_) == pytest.approx(slopes.T @ slopes / misfit**2 + np.linalg.inv(covariance), rel=1e-4)


@given(st.floats(-0.5, 0.5), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_between_the_prior_and_least_squares(speed, fc, out):
    """With a wide prior the coefficients that made the measurements come back; with a narrow one they stay the usual ones."""
    truth = MEAN + speed + np.array([0.0, fc, out])
    wide, _ = posterior(system(truth), MEAN, 100.0 * np.eye(3), 0.01)
    narrow, _ = posterior(system(truth), MEAN, 1e-8 * np.eye(3), 0.1)
    assert wide == pytest.approx(truth, abs=1e-3)
    assert narrow == pytest.approx(MEAN, abs=1e-3)


def test_many_systems_at_once_are_each_one_alone():
    samples = [system(MEAN + shift, noise=0.05, seed=i) for i, shift in enumerate((-0.3, 0.0, 0.4))]
    stacked = Samples(*(np.stack([getattr(s, name) for s in samples]) for name in ("features", "known", "measured")))
    covariance = 0.1 * np.eye(3) + 0.05
    together, open_ = posterior(stacked, np.tile(MEAN, (3, 1)), np.tile(covariance, (3, 1, 1)), 0.05)
    for i, sample in enumerate(samples):
        logs, alone = posterior(sample, MEAN, covariance, 0.05)
        assert together[i] == pytest.approx(logs) and open_[i] == pytest.approx(alone)


def test_learning_finds_the_deviations_that_made_the_systems():
    """Three hundred made-up systems of two groups: means, speed, own deviation and misfit come back."""
    rng = np.random.default_rng(1)
    groups = np.array(["slow", "fast"] * 150)
    means = {"slow": MEAN, "fast": MEAN - np.array([0.7, 0.6, 0.9])}
    logs = np.array([means[g] + 0.3 * rng.standard_normal() + 0.15 * rng.standard_normal(3) for g in groups])
    cycles = np.exp(logs) @ FEATURES.T * np.exp(0.05 * rng.standard_normal((300, 4)))
    prior = learn(Samples(np.tile(FEATURES, (300, 1, 1)), np.zeros((300, 4)), cycles), groups, np.array([1.0, 1.0, 30.0]))
    assert (prior.speed, prior.own, prior.misfit) == pytest.approx((0.3, 0.15, 0.05), rel=0.15)
    for name, mean in means.items():
        assert prior.mean[name] == pytest.approx(mean, abs=0.09)


def test_an_unseen_group_may_have_any_speed():
    prior = Prior({"a": np.zeros(2), "b": np.ones(2)}, speed=0.2, own=0.1, misfit=0.05)
    mean, covariance = prior.of("c")
    assert mean == pytest.approx([0.5, 0.5])
    assert covariance == pytest.approx(np.array([[0.01, 0.0], [0.0, 0.01]]) + UNSEEN_SPEED**2)
    assert prior.of("a")[1] == pytest.approx(np.array([[0.05, 0.04], [0.04, 0.05]]))
