"""Two faces of one network, exact integers and fake quantization; and networks that integers cannot follow, in one sentence."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit.quantization.formats import AdditivePowerOfTwo, Binary, Int, PowerOfTwo, Ternary, TwoStep
from labkit.quantization.granularity import PerGroup, PerTensor
from labkit.quantization.integer import kernels, operations, requantize, shifts
from labkit.quantization.integer import network as network_module
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.integer.operations import Clamp, Conv, Weighted
from labkit.quantization.mixed.search import assign
from labkit.quantization.prepare import Scheme, calibrate, make_plain, prepare
from tests.quantization.integer import zoo

FORMATS = [Int(4), Int(2), PowerOfTwo(4), AdditivePowerOfTwo(4), TwoStep(4), Ternary(), Binary()]


class Everything(nn.Module):
    """What the zoo does not use: functions instead of modules, odd strides, a layer called twice, a ReLU behind a pool."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
        self.twice = nn.Conv2d(4, 4, 4, padding="same", groups=2, bias=False)
        self.wide = nn.Conv2d(4, 8, 3, groups=4, padding=1)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu6(self.first(x))
        x = F.max_pool2d(x, 3, stride=1, padding=1)
        y = torch.relu(self.twice(x))
        y = self.twice(y) + x
        y = self.wide(y)
        y = F.relu(F.avg_pool2d(y, (3, 2), stride=2, padding=1, count_include_pad=False))
        y = y.amax((2, 3)).view(y.size(0), -1)
        return self.last(F.dropout(y, training=self.training)).clamp(-0.1, 0.2)


def everything(scheme=Scheme()):  # noqa: B008
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model, x = Everything().eval(), torch.randn(16, 2, 11, 9)
    prepared = prepare(model, scheme)
    calibrate(prepared, x)
    return prepared, IntegerNetwork.of(prepared, x), x


def refused(model: nn.Module, x: torch.Tensor, scheme=Scheme()) -> IntegerNetwork:  # noqa: B008
    prepared = prepare(model.eval(), scheme)
    calibrate(prepared, x)
    return IntegerNetwork.of(prepared, x)


def agree(prepared, network, x):
    exact, real = network.tensors(x, rounding="exact"), network.tensors(x, face="float")
    for name in exact:
        assert np.array_equal(exact[name], real[name]), f"{name}: the faces differ under the exact rounding"
    differ = total = 0
    for operation in network.operations:
        inputs = [real[name] for name in operation.inputs], [network.grids[name] for name in operation.inputs]
        off = np.abs(operation.integer(*inputs, "tflite", "multiply") - real[operation.name])
        assert off.max() <= 1, f"{operation.name}: more than one code apart"
        differ, total = differ + int((off > 0).sum()), total + off.size
    with torch.no_grad():
        torch_codes = np.rint(prepared(x).numpy() / network.output.scale) + network.output.zero_point
    return differ / total, torch_codes


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_faces_of_the_zoo_agree(name):
    """Code for code under the exact rounding; one code apart in under 1 % of the places under TensorFlow Lite's."""
    prepared, network, x = zoo.quantized(name)
    x = x[:16]
    share, torch_codes = agree(prepared, network, x)
    print(f"{name}: {100 * share:.3f} % of the codes of a layer differ by 1")
    assert 0 < share < 0.01
    ours = network.run(x)
    assert np.abs(ours - torch_codes).max() <= 8  # of 255: torch adds up in float32, and a flipped code travels through the layers
    top = np.sort(torch_codes, axis=1)
    clear = top[:, -1] - top[:, -2] > 3
    assert np.array_equal(ours.argmax(axis=1)[clear], torch_codes.argmax(axis=1)[clear])
    assert clear.sum() >= len(x) // 4


def test_the_faces_of_an_unusual_network_agree():
    prepared, network, x = everything()
    share, torch_codes = agree(prepared, network, x)
    assert share < 0.02
    assert np.abs(network.run(x, rounding="exact") - torch_codes).max() <= 3
    names = [operation.name for operation in network.operations]
    assert len(set(names)) == len(names)
    assert sum(isinstance(operation, Clamp) for operation in network.operations) == 1
    assert [operation.padding for operation in network.operations if isinstance(operation, Conv)][1] == ((1, 2), (1, 2))


@pytest.mark.parametrize("weights", FORMATS, ids=repr)
def test_any_format_runs_in_integers_and_by_shifts(weights):
    prepared, network, x = zoo.quantized("har-cnn", Scheme(weights=weights))
    agree(prepared, network, x)
    for operation in network.operations:
        if isinstance(operation, Weighted):
            assert set(np.unique(operation.weight)) <= set(weights.levels)
    assert np.array_equal(network.run(x[:4], arithmetic="shift"), network.run(x[:4]))


@pytest.mark.parametrize("between", [[nn.Flatten(), nn.ReLU()], [nn.ReLU(), nn.Flatten()], [nn.Flatten()]], ids=repr)
def test_a_reshape_may_stand_before_the_relu(between):
    x = torch.randn(16, 3, 5)
    prepared = prepare(nn.Sequential(nn.Conv1d(3, 4, 3), *between, nn.Linear(12, 2)), Scheme())
    calibrate(prepared, x)
    network = IntegerNetwork.of(prepared, x)
    off = np.abs(network.logits(x, rounding="exact") - prepared(x).detach().numpy())
    assert off.max() <= 1.01 * network.output.scale


def test_channels_that_are_only_a_bias_keep_it():
    """A dead channel and one with tiny weights: at the scale of their weights the bias would be coarse, or leave 32 bits."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv1d(2, 3, 3)), torch.randn(8, 2, 10)
    model[0].weight.data[0] = 0.0
    model[0].weight.data[1] *= 1e-12
    model[0].bias.data = torch.tensor([0.777, -0.555, 0.333])
    prepared = prepare(model, Scheme())
    calibrate(prepared, x)
    network = IntegerNetwork.of(prepared, x)
    assert network.operations[0].bias.dtype == np.int32
    for rounding in ("exact", "tflite"):
        assert np.abs(network.logits(x, rounding=rounding) - prepared(x).detach().numpy()).max() <= network.output.scale * 1.01
    assert np.abs(network.logits(x)[:, :2] - np.array([[0.777], [-0.555]])).max() <= network.output.scale / 2


def test_widths_may_differ_from_channel_to_channel():
    """What a mixed-precision search exports: 0 bits prune a channel, its bias stays."""
    model, x = zoo.model("har-cnn")
    prepared = prepare(model, Scheme())
    bits = tuple(np.random.default_rng(0).choice([0, 2, 4, 8], 32).tolist())
    layer = prepared.get_submodule("features.1.0")
    make_plain(layer, layer.parametrizations.weight.original)
    assign(layer, bits)
    calibrate(prepared, x)
    network = IntegerNetwork.of(prepared, x)
    agree(prepared, network, x)
    assert network.workload["features.1.0"].weight_bits == bits
    (codes,) = (operation.weight for operation in network.operations if operation.name == "features.1.0")
    largest = np.abs(codes).reshape(32, -1).max(axis=1)
    assert all(top <= max(2 ** (b - 1) - 1, 0) for top, b in zip(largest, bits, strict=True))


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(granularity=PerTensor()),
        Scheme(weight_scale="power of two"),
        Scheme(activations=Int(4, narrow=False)),
        Scheme(activations=Int(8, signed=False)),
        Scheme(weights=Int(4), weight_scale="lsq", activation_scale="lsq"),
        Scheme(weights=Int(3), weight_scale="dorefa", activation_scale="pact"),
        Scheme(weights=Int(2), edges=Int(8)),
    ],
    ids=repr,
)
def test_any_scheme_runs_in_integers(scheme):
    agree(*zoo.quantized("har-cnn", scheme))
    agree(*everything(scheme))


@pytest.mark.parametrize("module", [requantize, kernels, shifts, operations, network_module])
def test_running_a_network_needs_no_torch(module):
    assert not {"torch", "nn"} & set(vars(module))


def test_a_batch_is_its_inputs_one_by_one():
    _, network, x = zoo.quantized("har-cnn")
    assert np.array_equal(network.run(x, batch=5), np.concatenate([network.run(one[None]) for one in x]))
    assert network.run(x[:0]).shape == (0, 7)


def test_codes_and_real_numbers_saturate():
    _, network, x = zoo.quantized("har-cnn")
    grid = network.input
    assert np.array_equal(network.run(np.full((1, 6, 128), 1e30)), network.run(np.full((1, 6, 128), grid.high)))
    assert np.array_equal(network.run(np.full((1, 6, 128), 10**6)), network.run(np.full((1, 6, 128), grid.high)))
    assert np.array_equal(network.run(network.quantize(x)), network.run(x))


def test_the_workload_is_what_trace_says_of_the_prepared_network():
    _, network, _ = zoo.quantized("har-cnn", Scheme(weights=Int(4)))
    assert {layer.channel_bits.max() for layer in network.workload.layers if layer.params} == {4}


def test_the_table_names_every_layer_and_its_accumulator():
    _, network, _ = zoo.quantized("ds-cnn")
    table = str(network)
    assert all(operation.name in table for operation in network.operations)
    assert 16 < max(o.accumulator_bits(network.grids[o.inputs[0]]) for o in network.operations if isinstance(o, Weighted)) <= 32


def test_an_uncalibrated_network_is_refused():
    prepared = prepare(nn.Sequential(nn.Conv1d(1, 2, 3)), Scheme())
    with pytest.raises(ValueError, match=r"has not been calibrated; run calibrate"):
        IntegerNetwork.of(prepared, torch.zeros(1, 1, 8))


def test_what_prepare_did_not_make_is_refused():
    with pytest.raises(ValueError, match="read from what prepare returns, not from a Conv1d"):
        IntegerNetwork.of(nn.Conv1d(1, 2, 3), torch.zeros(1, 1, 8))


def test_nan_weights_are_refused():
    model, x = zoo.model("har-cnn")
    prepared = prepare(model, Scheme())
    calibrate(prepared, x)
    prepared.classifier.parametrizations.weight.original.data[0, 0] = np.nan
    with pytest.raises(ValueError, match="layer 'classifier' has NaN"):
        IntegerNetwork.of(prepared, x)


CONV = nn.Conv2d(1, 2, 3, padding=1)
IMAGE = torch.linspace(-1, 1, 72).reshape(2, 1, 6, 6)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.Sequential(CONV, nn.Sigmoid()), "no 'activation'"),
        (nn.Sequential(CONV, nn.Softmax(1)), "no 'softmax'"),
        (nn.Sequential(nn.BatchNorm2d(1), CONV), "no 'norm'"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), "pads with 'reflect'"),
        (nn.Sequential(CONV, nn.AvgPool2d(3, padding=1)), "counts its padding"),
        (nn.Sequential(CONV, nn.MaxPool2d(4, ceil_mode=True)), "ceil_mode or dilation"),
        (nn.Sequential(CONV, nn.AdaptiveAvgPool2d(4)), "windows of different sizes"),
        (nn.Sequential(nn.Linear(6, 2)), "reads more than one vector"),
        (nn.Sequential(nn.ConstantPad2d(1, 0.0), CONV), "pads a tensor"),
    ],
)
def test_layers_that_integers_cannot_follow_are_named(model, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        refused(model, IMAGE)
    assert "\n" not in str(error.value)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 2, 3, padding=1), function

    def forward(self, x):
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda y: y.permute(0, 2, 3, 1), "reorders a tensor"),
        (lambda y: y.mT, "reorders a tensor"),
        (lambda y: y.reshape(-1, 6), "reshapes across the batch"),
        (lambda y: y.mean(1), "pools over something else"),
        (lambda y: y.mean(2), "pools over something else"),
        (lambda y: y + 1.0, "adds something else"),
        (lambda y: torch.cat([y, y], 1), "no 'concat'"),
        (lambda y: y * y, "no 'mul'"),
    ],
)
def test_functions_that_integers_cannot_follow_are_named(function, sentence):
    with pytest.raises(ValueError, match=sentence):
        refused(Function(function), IMAGE)


@pytest.mark.parametrize(
    ("scheme", "sentence"),
    [
        (Scheme(weights=None), "'0' has float weights"),
        (Scheme(activations=None), "is not quantized"),
        (Scheme(granularity=PerGroup(3)), "integers need PerChannel"),
        (Scheme(fold=False, every_op=False), "no 'norm'"),
    ],
    ids=repr,
)
def test_schemes_that_integers_cannot_follow_are_named(scheme, sentence):
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 3))
    with pytest.raises(ValueError, match=sentence):
        refused(model, IMAGE, scheme)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda n: n.run(np.zeros((1, 6, 100))), r"shape \(batch, 6, 128\), not \(1, 6, 100\)"),
        (lambda n: n.run(np.full((1, 6, 128), np.nan)), "NaN"),
        (lambda n: n.run(np.zeros((1, 6, 128)), face="interger"), "did you mean integer"),
        (lambda n: n.run(np.zeros((1, 6, 128)), arithmetic="shifts"), "did you mean shift"),
        (lambda n: n.run(np.zeros((1, 6, 128)), rounding="onxx"), "did you mean onnx"),
    ],
)
def test_bad_inputs_are_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(zoo.quantized("har-cnn")[1])
