import pytest
import torch
from torch import nn

from labkit import models
from labkit.quantization.bias_correction import correct_bias
from labkit.quantization.formats import Int, PowerOfTwo
from labkit.quantization.granularity import PerTensor
from labkit.quantization.layerwise import float_network, outputs, walk
from labkit.quantization.prepare import Scheme, calibrate, prepare, weight_quantizers


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    ).eval()  # fmt: skip


def channel_means(y: torch.Tensor) -> torch.Tensor:
    return y.transpose(0, 1).flatten(1).mean(dim=1)


@pytest.mark.parametrize(
    "scheme", [Scheme(Int(3), None, PerTensor()), Scheme(Int(4)), Scheme(PowerOfTwo(3)), Scheme(Int(2), fold=False)]
)
def test_afterwards_no_channel_of_any_layer_is_off_on_average(scheme):
    net, x = network(), torch.randn(40, 3, 8, 8) + 0.3
    prepared = prepare(net, scheme)
    calibrate(prepared, x)
    layers = list(weight_quantizers(prepared))
    before, errors = outputs(prepared, layers, x), correct_bias(prepared, x)
    after, wanted = outputs(prepared, layers, x), outputs(float_network(prepared), layers, x)
    assert list(errors) == layers
    for name in layers:
        torch.testing.assert_close(channel_means(after[name]), channel_means(wanted[name]), rtol=0, atol=2e-5)
        assert (channel_means(before[name]) - channel_means(wanted[name])).abs().max() > 1e-3
    torch.testing.assert_close(channel_means(prepared(x)), channel_means(after[layers[-1]]), rtol=0, atol=0.05)


def test_float_network_is_the_network_itself_and_leaves_the_prepared_one_alone():
    net, x = network(), torch.randn(5, 3, 8, 8)
    prepared = prepare(net, Scheme())
    calibrate(prepared, x)
    before = prepared(x)
    torch.testing.assert_close(float_network(prepared)(x), net(x))
    assert torch.equal(prepared(x), before)


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_equals_brevitas(kind, bits):
    qnn = pytest.importorskip("brevitas.nn")
    from brevitas.graph.calibrate import bias_correction_mode
    from brevitas.quant import Int8WeightPerChannelFloat

    options = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": bits}
    if kind == "linear":
        layer, theirs, x = nn.Linear(64, 32), qnn.QuantLinear(64, 32, bias=True, **options), torch.randn(512, 64) + 0.3
    else:
        layer, theirs, x = nn.Conv2d(8, 6, 3), qnn.QuantConv2d(8, 6, 3, **options), torch.randn(32, 8, 7, 7) + 0.3
    theirs.load_state_dict(layer.state_dict(), strict=False)
    theirs.eval()
    with torch.no_grad(), bias_correction_mode(theirs):
        theirs(x)
    prepared = prepare(nn.Sequential(layer), Scheme(Int(bits), None))
    torch.testing.assert_close(prepared.get_submodule("0").weight, theirs.quant_weight().value)
    correct_bias(prepared, x)
    torch.testing.assert_close(prepared.get_submodule("0").bias, theirs.bias, rtol=1e-4, atol=1e-5)


def test_it_helps_where_weights_are_few_bits():
    model, example = models.build("ds-cnn", seed=0)
    x = torch.randn(16, *example.shape[1:])
    prepared = prepare(model, Scheme(Int(4), granularity=PerTensor()))
    calibrate(prepared, x)
    held_out = torch.randn(16, *example.shape[1:])
    wanted = model.eval()(held_out)
    before = (prepared(held_out) - wanted).square().mean()
    correct_bias(prepared, x)
    assert (prepared(held_out) - wanted).square().mean() < before


def test_a_layer_without_bias_gets_one_and_a_second_time_there_is_nothing_left():
    prepared = prepare(nn.Sequential(nn.Linear(4, 3, bias=False)), Scheme(Int(2), None))
    x = torch.rand(20, 4)
    first, again = correct_bias(prepared, x)["0"], correct_bias(prepared, x)["0"]
    torch.testing.assert_close(prepared.get_submodule("0").bias, -first, rtol=0, atol=1e-6)
    assert again.abs().max() < 1e-6 < first.abs().max()


def test_batches_may_come_from_a_loader_with_labels():
    net, x = nn.Sequential(nn.Linear(4, 3)), torch.rand(20, 4)
    whole, loaded = (prepare(net, Scheme(Int(2), None)) for _ in range(2))
    a = correct_bias(whole, x)["0"]
    b = correct_bias(loaded, [(part, torch.zeros(len(part))) for part in x.split(6)])["0"]
    assert torch.equal(a, b)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return self.a(torch.relu(self.a(x)) + x)


def test_a_layer_that_runs_twice_is_visited_once_where_it_runs_first():
    net, x = Twice(), torch.rand(9, 4)
    seen = []
    walk(prepare(net, Scheme(Int(2), None)), x, lambda name, layer, x, y: seen.append((name, x, y)))
    assert [name for name, _, _ in seen] == ["a"]
    assert torch.equal(seen[0][1], x) and torch.equal(seen[0][2], net.a(x))


@pytest.mark.parametrize("nothing", [[], torch.zeros(0, 4)])
def test_nothing_to_calibrate_with(nothing):
    with pytest.raises(ValueError, match="give at least one batch"):
        correct_bias(prepare(nn.Sequential(nn.Linear(4, 3)), Scheme(activations=None)), nothing)


def test_a_network_without_quantized_weights():
    with pytest.raises(ValueError, match="no layer of this network has quantized weights"):
        correct_bias(prepare(nn.Sequential(nn.Linear(4, 3)), Scheme(weights=None)), torch.rand(2, 4))


def test_a_network_that_is_not_calibrated():
    with pytest.raises(RuntimeError, match="run calibrate"):
        correct_bias(prepare(nn.Sequential(nn.Linear(4, 3)), Scheme()), torch.rand(2, 4))
