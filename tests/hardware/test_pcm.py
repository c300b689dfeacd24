"""PCM physics: our sampler, the closed-form moments and aihwkit's noise model must be one distribution, within sampling error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from labkit.hardware import pcm_moments
from labkit.hardware.pcm import PCM, ProgrammedArray

TARGETS_US = (0.0, 0.02, 0.5, 2.0, 6.0, 12.5, 20.0, 25.0)
TIMES_S = {"25 s": 25.0, "1 h": 3600.0, "24 h": 86_400.0, "1 month": 2_592_000.0}
DEVICES = 200_000  # for each conductance and time
MONTH_S = TIMES_S["1 month"]


def z_scores(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """How many standard errors the means and the standard deviations of two samples lie apart."""
    means, mean_errors, spreads, spread_errors = zip(*(_estimates(sample) for sample in (ours, theirs)), strict=True)
    return (means[0] - means[1]) / np.hypot(*mean_errors), (spreads[0] - spreads[1]) / np.hypot(*spread_errors)


def _estimates(sample: np.ndarray) -> tuple[float, float, float, float]:
    """Mean and standard deviation, each with its standard error; the fourth moment counts, because nothing here is Gaussian."""
    centred = sample - sample.mean()
    variance = np.mean(centred**2)
    of_variance = np.sqrt((np.mean(centred**4) - variance**2) / len(sample))
    return sample.mean(), np.sqrt(variance / len(sample)), np.sqrt(variance), of_variance / (2 * np.sqrt(variance))


def agree(scores: list[float]) -> bool:
    """Whether z-scores look like those of equal distributions: none too large, and all together not too large, at 1 in 10,000."""
    scores = np.array(scores)
    largest = stats.norm.isf(1e-4 / 2 / len(scores))
    return bool(np.abs(scores).max() < largest and np.sum(scores**2) < stats.chi2.isf(1e-4, len(scores)))


@pytest.fixture(scope="module")
def aihwkit():
    return pytest.importorskip("aihwkit.inference", reason="aihwkit is not installed (requirements-oracles.lock)")


def against(aihwkit, pcm: PCM, quantity: str) -> list[float]:
    """z-scores of a quantity against aihwkit, for every conductance (and time)."""
    import torch

    torch.manual_seed(0)
    rng, theirs, scores = np.random.default_rng(0), aihwkit.PCMLikeNoiseModel(g_max=25.0), []
    for target in TARGETS_US:
        wanted = torch.full((DEVICES,), target, dtype=torch.float64)
        for seconds in TIMES_S.values() if quantity == "read" else (None,):
            array = pcm.program(wanted.numpy(), rng)
            programmed = theirs.apply_programming_noise_to_conductance(wanted)
            exponent = theirs.generate_drift_coefficients(wanted)
            if quantity == "read":
                pair = array.read(seconds), theirs.apply_drift_noise_to_conductance(programmed, exponent, seconds)
            else:
                pair = (array.programmed_us, programmed) if quantity == "programmed" else (array.exponent, exponent)
            scores += z_scores(pair[0], pair[1].numpy())
    return scores


@pytest.mark.parametrize("quantity", ("programmed", "exponent", "read"))
def test_the_statistics_are_those_of_aihwkit(aihwkit, quantity):
    """Means and standard deviations over 200,000 devices, at eight conductances (and four times, fresh devices each)."""
    assert agree(against(aihwkit, PCM(), quantity))


@pytest.mark.parametrize(
    ("quantity", "wrong"),
    [
        ("programmed", PCM(programming_noise=1.02)),
        ("exponent", PCM(drift=1.005)),
        ("read", PCM(read_noise=1.05)),
        ("read", PCM(drift=1.01)),
    ],
)
def test_the_comparison_sees_small_errors(aihwkit, quantity, wrong):
    assert not agree(against(aihwkit, wrong, quantity))


def test_other_g_max_scales_as_in_aihwkit(aihwkit):
    import torch

    torch.manual_seed(0)
    wanted = torch.full((DEVICES,), 20.0, dtype=torch.float64)
    theirs = aihwkit.PCMLikeNoiseModel(g_max=40.0).apply_programming_noise_to_conductance(wanted).numpy()
    ours = PCM(g_max_us=40.0).program(wanted.numpy(), np.random.default_rng(0)).programmed_us
    assert agree(z_scores(ours, theirs))


@pytest.mark.parametrize("seconds", TIMES_S.values(), ids=TIMES_S)
def test_sampled_devices_have_the_closed_form_moments(seconds):
    rng, pcm = np.random.default_rng(1), PCM()
    scores = []
    for target in TARGETS_US:
        array = pcm.program(np.full(DEVICES, target), rng)
        samples = {
            pcm_moments.programmed_moments(pcm, target): array.programmed_us,
            pcm_moments.exponent_moments(pcm, target): array.exponent,
            pcm_moments.drifted_moments(pcm, target, seconds): array.drifted(seconds),
            pcm_moments.read_moments(pcm, np.array(target), seconds): array.read(seconds),
        }
        for (mean, std), sample in samples.items():
            found_mean, mean_error, found_std, std_error = _estimates(sample)
            scores.append(max((found_mean - mean) / mean_error, (found_std - std) / std_error, key=abs))
    assert np.abs(scores).max() < stats.norm.isf(1e-4 / 4 / len(scores))


@given(st.floats(-3, 3), st.floats(0.01, 3))
@settings(max_examples=30, deadline=None)
def test_moments_of_a_positive_part_by_numerical_integration(mean, std):
    for moment, found in zip((1, 2), pcm_moments.positive_part(mean, std), strict=True):
        exact, _ = integrate.quad(lambda x, n=moment: x**n * stats.norm.pdf(x, mean, std), 0, mean + 12 * std + 1, limit=200)
        assert found == pytest.approx(exact, rel=1e-6, abs=1e-9)


@given(st.floats(0.02, 0.1), st.floats(0.001, 0.05), st.floats(0, 16))
@settings(max_examples=30, deadline=None)
def test_mean_decay_by_numerical_integration(mean, std, log_time):
    def integrand(z):
        return np.exp(-log_time * abs(mean + std * z)) * stats.norm.pdf(z)

    exact, _ = integrate.quad(integrand, -10, 10, points=[-mean / std] if mean < 10 * std else None, limit=200)
    assert pcm_moments.decay(mean, std, log_time) == pytest.approx(exact, rel=1e-6)


def test_published_constants_by_hand():
    """x = 0.5: σ = 0.26348 + 1.965/2 − 1.1731/4; ν = 0.049 (clipped) ± 0.008; x = 0.01: 0.0958 ± 0.045 (clipped)."""
    pcm = PCM()
    assert pcm.programming_std_us(12.5) == pytest.approx(0.952705)
    assert pcm.drift_exponent(12.5) == pytest.approx((0.049, 0.008))
    assert pcm.drift_exponent(0.25) == pytest.approx((0.0244 + 0.0155 * np.log(100), 0.045))
    assert pcm.read_std(25.0, 86_400) == pytest.approx(0.0088 * np.sqrt(np.log(86_420.00000025 / 5e-7)))
    assert pcm.read_std(1e-9, 0.0) == pytest.approx(0.2 * np.sqrt(np.log(20.00000025 / 5e-7)))


def test_at_an_exponent_of_six_hundredths_sixty_per_cent_are_left_after_a_day():
    array = ProgrammedArray(PCM(), np.array([10.0]), np.array([0.06]), np.zeros(1))
    assert array.drifted(86_400) / 10 == pytest.approx(0.605, abs=5e-4)
    assert array.drifted(0) == pytest.approx(10)


@given(st.lists(st.floats(0, 25), min_size=1, max_size=20), st.integers(0, 2**32), st.floats(0, 1e8), st.floats(1, 1e8))
@settings(max_examples=50, deadline=None)
def test_conductance_only_falls_and_never_below_nothing(targets, seed, seconds, later):
    array = PCM().program(targets, np.random.default_rng(seed))
    assert np.all(array.drifted(seconds + later) <= array.drifted(seconds))
    assert np.all(array.read(seconds) >= 0)
    again = PCM().program(targets, np.random.default_rng(seed))
    np.testing.assert_array_equal(array.read(seconds), again.read(seconds))


def test_without_noise_and_drift_it_is_a_memory():
    targets = np.linspace(0, 25, 7)
    array = PCM(programming_noise=0, drift=0, read_noise=0).program(targets, np.random.default_rng(0))
    np.testing.assert_allclose(array.read(MONTH_S), targets)


def test_a_second_read_differs_by_its_noise_alone():
    array = PCM().program(np.full(1000, 5.0), np.random.default_rng(0))
    other = array.reread(np.random.default_rng(1))
    assert np.array_equal(array.drifted(MONTH_S), other.drifted(MONTH_S))
    assert not np.array_equal(array.read(MONTH_S), other.read(MONTH_S))


@pytest.mark.parametrize("targets", [[-0.1], [25.1], [np.nan]])
def test_a_conductance_that_no_device_has(targets):
    with pytest.raises(ValueError, match="0 to 25 µS; scale or clip"):
        PCM().program(targets, np.random.default_rng(0))


@pytest.mark.parametrize("options", [{"g_max_us": 0}, {"drift": -1}, {"read_noise": np.nan}, {"g_max_us": np.inf}])
def test_a_device_that_cannot_be(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PCM(**options)


@pytest.mark.parametrize("seconds", (-1, np.nan, np.inf))
def test_a_time_before_programming(seconds):
    array = PCM().program([1.0], np.random.default_rng(0))
    with pytest.raises(ValueError, match="give a time of 0 or more"):
        array.read(seconds)
