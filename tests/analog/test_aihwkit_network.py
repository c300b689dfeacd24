"""A whole network against aihwkit: the activity network with every layer in one of its tiles, and in our arrays."""

import copy

import numpy as np
import pytest
import torch

from labkit import analog, models
from labkit.data import motion
from labkit.training import predict

ARRAYS = 12
DAY = 86_400.0


@pytest.fixture(scope="module")
def watch():
    network, card = models.pretrained("har-cnn", "watch")
    test = motion.load("watch").part("test")
    return network, card.prepare(test.x), test.y


def of_aihwkit(network: torch.nn.Module, x: torch.Tensor, y: np.ndarray, seed: int) -> dict[bool, float]:
    """Accuracy a day later with and without compensation. Biases and norms stay digital, as in our crossbars."""
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    configuration = TorchInferenceRPUConfig(noise_model=PCMLikeNoiseModel(g_max=25.0))
    configuration.drift_compensation = GlobalDriftCompensation()
    configuration.forward.is_perfect = True
    configuration.mapping.max_input_size = configuration.mapping.max_output_size = 0
    torch.manual_seed(seed)
    drifted, compensated = copy.deepcopy(network), copy.deepcopy(network)
    for name, layer in network.named_modules():
        if isinstance(layer, (torch.nn.Conv1d, torch.nn.Linear)):
            weights = layer.weight.detach().flatten(1)
            tile = AnalogLinear(weights.shape[1], weights.shape[0], bias=False, rpu_config=configuration)
            tile.set_weights(weights, None)
            tile.eval()
            tile.program_analog_weights()
            tile.drift_analog_weights(DAY)
            (inner,) = tile.analog_tiles()
            now = inner.tile.get_weights()
            for made, factor in ((drifted, 1.0), (compensated, float(inner.alpha))):
                made.get_submodule(name).weight.data = (factor * now).reshape(layer.weight.shape)
    return {True: accuracy(compensated, x, y), False: accuracy(drifted, x, y)}


def accuracy(model: torch.nn.Module, x: torch.Tensor, y: np.ndarray) -> float:
    return float(np.mean(predict(model, x).numpy() == y))


def test_a_network_forgets_as_in_aihwkit(watch):
    """Mean accuracy over 12 programmings, a day later: equal within the error of both means; and far from each other's case."""
    pytest.importorskip("aihwkit.nn", reason="aihwkit is not installed (requirements-oracles.lock)")
    network, x, y = watch
    theirs = [of_aihwkit(network, x, y, seed) for seed in range(ARRAYS)]
    calibrated = analog.program(network, x[:32], analog.Crossbar(dac_bits=None, adc_bits=None, scale="layer"))
    arrays = [calibrated.reprogrammed(seed) for seed in range(ARRAYS)]
    for compensated, way in ((True, analog.global_drift_compensation), (False, None)):
        ours = np.array([accuracy(array.at(DAY, way), x, y) for array in arrays])
        other = np.array([found[compensated] for found in theirs])
        error = np.hypot(ours.std(ddof=1), other.std(ddof=1)) / np.sqrt(ARRAYS)
        assert abs(ours.mean() - other.mean()) < 4 * error and error < 0.03
    assert ours.mean() < 0.6 < np.mean([found[True] for found in theirs])
