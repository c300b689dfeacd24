"""Pairs of conductances, and drift compensation against aihwkit's tile."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labkit.analog import Crossbar, from_pairs, global_drift_compensation, to_pairs
from labkit.analog.crossbar import PairArray
from labkit.hardware.pcm import PCM

WEIGHTS = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-1e3, 1e3))


@given(WEIGHTS, st.sampled_from(("column", "layer")), st.floats(1, 100))
@settings(max_examples=100, deadline=None)
def test_pairs_hold_every_weight(weights, scale, g_max_us):
    plus, minus, largest = to_pairs(weights, g_max_us, scale)
    assert np.all((plus == 0) | (minus == 0))
    assert plus.min() >= 0 and minus.min() >= 0 and max(plus.max(), minus.max()) <= g_max_us
    np.testing.assert_allclose(from_pairs(plus, minus, largest, g_max_us), weights, rtol=1e-9, atol=1e-300)
    if weights.any():
        rows = slice(None) if scale == "layer" else np.abs(weights).max(axis=1) > 0
        reached = np.maximum(plus, minus)[rows]
        assert (reached.max(axis=1) if scale == "column" else reached.max()) == pytest.approx(g_max_us)


def test_pairs_are_those_of_aihwkit():
    converter = pytest.importorskip("aihwkit.inference.converter.conductance").SinglePairConductanceConverter(g_max=25.0)
    weights = np.random.default_rng(0).normal(0, 0.3, (7, 11))
    (plus, minus), parameters = converter.convert_to_conductances(torch.from_numpy(weights))
    ours = to_pairs(weights, 25.0, "layer")
    np.testing.assert_allclose(ours[0], plus.numpy())
    np.testing.assert_allclose(ours[1], minus.numpy())
    np.testing.assert_allclose(25.0 / ours[2], float(parameters["scale_ratio"]))


def test_a_layer_of_zeros_stays_one():
    plus, minus, largest = to_pairs(np.zeros((2, 3)))
    assert not plus.any() and not minus.any() and largest.tolist() == [[1.0], [1.0]]


def test_compensation_divides_by_what_is_left():
    before = np.random.default_rng(0).normal(0, 5, (20, 30))
    assert global_drift_compensation(before, 0.6 * before) == pytest.approx(1 / 0.6)
    assert np.isfinite(global_drift_compensation(before, np.zeros_like(before)))


WEIGHT_MATRIX = np.random.default_rng(0).normal(0, 0.2, (64, 96))
ARRAYS = 40


def our_factors(seconds: float) -> np.ndarray:
    plus, minus, _ = to_pairs(WEIGHT_MATRIX, 25.0, "layer")
    every = np.ones_like(plus, dtype=bool)
    arrays = (PairArray.of(plus, minus, every, PCM(), np.random.default_rng(seed)) for seed in range(ARRAYS))
    return np.array([array.factor(array.read(seconds), global_drift_compensation) for array in arrays])


@pytest.mark.parametrize("seconds", (25.0, 3600.0, 86_400.0, 2_592_000.0))
def test_compensation_is_that_of_aihwkit(seconds):
    """The factor of 40 arrays here, and of 40 whose devices come from aihwkit's noise model and whose readout is aihwkit's."""
    inference = pytest.importorskip("aihwkit.inference")
    noise, readout = inference.PCMLikeNoiseModel(g_max=25.0), inference.GlobalDriftCompensation().readout
    torch.manual_seed(0)
    theirs = []
    for _ in range(ARRAYS):
        targets, _ = noise.g_converter.convert_to_conductances(torch.from_numpy(WEIGHT_MATRIX))
        programmed = [noise.apply_programming_noise_to_conductance(target) for target in targets]
        exponents = [noise.generate_drift_coefficients(target) for target in targets]
        now = [noise.apply_drift_noise_to_conductance(g, nu, seconds) for g, nu in zip(programmed, exponents, strict=True)]
        theirs.append(float(readout(programmed[0] - programmed[1]) / readout(now[0] - now[1])))
    ours = our_factors(seconds)
    error = np.hypot(np.std(theirs, ddof=1), np.std(ours, ddof=1)) / np.sqrt(ARRAYS)
    assert abs(np.mean(ours) - np.mean(theirs)) < 4 * error
    assert error < 0.003 < np.mean(ours) - 1


def test_compensation_is_near_that_of_aihwkits_tile():
    """The tile splits a programmed weight anew, so that one device of each pair is exactly 0; ours keep their own noise: 1 %."""
    inference = pytest.importorskip("aihwkit.inference")
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    configuration = TorchInferenceRPUConfig(noise_model=inference.PCMLikeNoiseModel(g_max=25.0))
    configuration.drift_compensation = inference.GlobalDriftCompensation()
    configuration.forward.is_perfect = True
    torch.manual_seed(0)
    layer = AnalogLinear(96, 64, bias=False, rpu_config=configuration)
    layer.set_weights(torch.from_numpy(WEIGHT_MATRIX).float(), None)
    layer.eval()
    layer.program_analog_weights()
    for seconds in (3600.0, 2_592_000.0):
        layer.drift_analog_weights(seconds)
        assert np.mean(our_factors(seconds)) == pytest.approx(float(next(layer.analog_tiles()).alpha), rel=0.02)


def test_only_cells_with_a_weight_are_asked():
    plus, minus, _ = to_pairs(np.array([[1.0, 0.0], [0.0, -1.0]]))
    used = np.array([[True, False], [False, True]])
    array = PairArray.of(plus, minus, used, PCM(), np.random.default_rng(0))
    asked = []
    now = array.read(3600.0)
    array.factor(now, lambda before, now: asked.append((before.shape, now.shape)) or 1.0)
    assert asked == [((2,), (2,))]
    assert array.factor(now, None) == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "colum"}, "did you mean column"),
        ({"adc_bits": 1}, "adc_bits is 1; give 2 to 16"),
        ({"dac_bits": 8.5}, "dac_bits"),
    ],
)
def test_a_crossbar_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        Crossbar(**options)


@pytest.mark.parametrize("wrong", (np.nan, -1.0, np.ones(3), np.inf, None))
def test_a_compensation_that_is_no_factor(wrong):
    plus, minus, _ = to_pairs(np.array([[1.0, -0.5]]))
    array = PairArray.of(plus, minus, np.ones((1, 2), dtype=bool), PCM(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="return one factor"):
        array.factor(array.read(3600.0), lambda before, now: wrong)
