"""A network on crossbars: exact where nothing is random, quantized where converters are narrow, and reproducible."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit import analog, models
from labkit.analog.converters import Converter, fitted
from labkit.analog.network import block_diagonal
from labkit.hardware.pcm import PCM

PERFECT = analog.Crossbar(PCM(programming_noise=0, drift=0, read_noise=0), dac_bits=None, adc_bits=None)
DAY = 86_400.0


def network(seed=0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv1d(6, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(8), nn.ReLU(),
            nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv1d(8, 12, 3, groups=4, dilation=2),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 5),
        )  # fmt: skip
        model(torch.randn(64, 6, 32))  # so that the norm has seen something
        return model.eval()


X = torch.randn(40, 6, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("empty_cells", (True, False))
@pytest.mark.parametrize("scale", ("column", "layer"))
def test_without_noise_and_converters_it_is_the_network(empty_cells, scale):
    model = network()
    crossbar = analog.Crossbar(PERFECT.pcm, None, None, scale, empty_cells)
    torch.testing.assert_close(analog.program(model, X, crossbar).at(DAY)(X), model(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ("ds-cnn", "tc-resnet8", "har-cnn", "resnet8", "autoencoder"))
def test_every_network_of_the_zoo_can_be_programmed(name):
    model, example = models.build(name)
    x = torch.randn(2, *example.shape[1:])
    torch.testing.assert_close(analog.program(model, x, PERFECT).at(0.0)(x), model(x), rtol=1e-3, atol=1e-4)


def test_the_model_itself_stays():
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    analog.program(model, X).at(DAY)(X)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_seed_is_an_array_and_times_are_read_independently():
    model = network()
    one, same, other = (analog.program(model, X, seed=seed) for seed in (3, 3, 4))
    now = one.at(25.0)
    expected = now(X)
    one.at(DAY)(X)
    torch.testing.assert_close(now(X), expected, rtol=0, atol=0)
    torch.testing.assert_close(same.at(25.0)(X), expected, rtol=0, atol=0)
    assert not torch.allclose(other.at(25.0)(X), expected)
    torch.testing.assert_close(other.reprogrammed(3).at(25.0)(X), expected, rtol=0, atol=0)
    assert not torch.allclose(one.reread(5).at(25.0)(X), expected)
    torch.testing.assert_close(one.at(25.0)(X), expected, rtol=0, atol=0)


def test_a_programmed_weight_is_the_difference_of_its_devices():
    """A linear layer with ideal converters computes x·((g⁺ − g⁻) w_max / g_max) + b; by hand, from the arrays."""
    model = nn.Linear(7, 3)
    made = analog.program(model, torch.randn(10, 7), analog.Crossbar(dac_bits=None, adc_bits=None), seed=2)
    ((_, layer),) = made.layers()
    largest = model.weight.detach().abs().amax(dim=1, keepdim=True).numpy()
    x = torch.randn(4, 7)
    for compensation in (None, analog.global_drift_compensation):
        weight = layer.array.read(DAY) * largest / 25.0 * layer.array.factor(layer.array.read(DAY), compensation)
        expected = x.numpy() @ weight.T + model.bias.detach().numpy()
        np.testing.assert_allclose(made.at(DAY, compensation)(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_drift_shrinks_and_compensation_restores():
    model = nn.Linear(200, 50, bias=False)
    x = torch.randn(30, 200)
    made = analog.program(model, x, analog.Crossbar(dac_bits=None, adc_bits=None))
    shares = {}
    with torch.no_grad():
        for compensation in (None, analog.global_drift_compensation):
            shares[compensation] = float(made.at(DAY, compensation)(x).abs().mean() / model(x).abs().mean())
    assert 0.5 < shares[None] < 0.75
    assert shares[analog.global_drift_compensation] == pytest.approx(1, abs=0.05)


def test_the_students_compensation_is_asked_for_every_layer():
    calls = []

    def half(before, now):
        calls.append((before.shape, now.shape))
        return 0.5

    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    made = analog.program(model, torch.randn(9, 4), analog.Crossbar(dac_bits=None, adc_bits=None))
    x = torch.randn(5, 4)
    torch.testing.assert_close(made.at(DAY, half)(x), made.at(DAY, None)(x) / 4)
    assert calls == [((12,), (12,)), ((6,), (6,))]


def test_fewer_bits_are_further_from_ideal():
    model = network()
    errors = []
    for bits in (12, 8, 6, 4, 2):
        crossbar = analog.Crossbar(PERFECT.pcm, bits, bits)
        with torch.no_grad():
            errors.append(float((analog.program(model, X, crossbar).at(0.0)(X) - model(X)).norm() / model(X).norm()))
    assert errors == sorted(errors) and errors[0] < 0.01 < errors[-1]


def test_empty_cells_add_noise():
    """The devices between the blocks of a depthwise layer hold 0, conduct a little and are driven with the rest."""
    model = nn.Conv1d(64, 64, 3, padding=1, groups=64, bias=False)
    x = torch.randn(8, 64, 20)
    errors = {}
    for driven in (True, False):
        made = analog.program(model, x, analog.Crossbar(dac_bits=None, adc_bits=None, empty_cells=driven))
        with torch.no_grad():
            errors[driven] = float((made.at(25.0)(x) - model(x)).norm())
    assert errors[True] > 1.1 * errors[False]


@pytest.mark.parametrize(("outputs", "inputs", "groups"), [(4, 4, 4), (8, 4, 4), (6, 9, 3)])
def test_a_block_diagonal_computes_the_same(outputs, inputs, groups):
    layer = nn.Conv2d(inputs, outputs, 3, groups=groups, bias=False)
    x = torch.randn(2, inputs, 6, 6)
    dense = nn.functional.conv2d(x, block_diagonal(layer.weight, groups))
    torch.testing.assert_close(dense, layer(x), rtol=1e-5, atol=1e-6)


def test_a_converter_has_so_many_levels_and_zero_is_one():
    x = torch.linspace(-1.3, 2.1, 10_001)
    for bits in (2, 4, 6):
        levels = Converter(-1.3, 2.1, bits)(x).unique()
        assert len(levels) == 2**bits and 0.0 in levels
    ideal = Converter(0.0, 1.0, None)
    assert ideal(x) is x


def test_a_fitted_converter_gives_up_an_outlier_for_a_finer_grid():
    x = torch.cat([torch.linspace(0, 1, 1000), torch.tensor([20.0])])
    assert fitted(x, 3).high < 10 < fitted(x, None).high


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.ReLU()), "nothing to program"),
        (nn.Sequential(nn.ConvTranspose1d(6, 6, 3)), "layer '0' is a ConvTranspose1d"),
        (nn.Sequential(nn.Conv1d(6, 6, 3, padding=1, padding_mode="reflect")), "padding mode 'reflect'"),
    ],
)
def test_what_a_crossbar_cannot_hold(model, message):
    with pytest.raises(ValueError, match=message):
        analog.program(model, X)


def test_weights_that_are_no_numbers():
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        analog.program(model, torch.randn(4, 3))


def test_a_layer_that_is_never_called():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="layer 'unused' is never called"):
        analog.program(Lazy(), torch.randn(4, 3))


def test_a_layer_with_two_names():
    shared = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="layer '1' has a second name"):
        analog.program(nn.Sequential(shared, shared), torch.randn(4, 3))
