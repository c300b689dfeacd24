import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labkit import TraceError, models, trace
from tests.shared import rows

REFERENCE = {  # MLPerf Tiny's int8 files: MACs, parameters, weight bytes, peak activation bytes
    "ds-cnn": ("kws", 2_656_768, 22_604, 24_368, 16_000),
    "resnet8": ("ic", 12_501_632, 77_706, 78_744, 49_152),
    "autoencoder": ("ad", 264_192, 265_864, 270_880, 768),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_networks_cost_what_their_files_say(name):
    _, macs, params, weight_bytes, peak = REFERENCE[name]
    workload = trace(*models.build(name))
    assert (workload.macs, workload.params) == (macs, params)
    assert (workload.weight_bytes, workload.peak_activation_bytes) == (weight_bytes, peak)
    assert workload.live_macs == workload.macs


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_networks_agree_layer_by_layer(name):
    ops = {"CONV_2D": "conv", "DEPTHWISE_CONV_2D": "depthwise", "FULLY_CONNECTED": "linear"}
    ops |= {"ADD": "add", "AVERAGE_POOL_2D": "avgpool"}
    table = [r for r in rows("reference", "reference_layers.csv") if r["model"] == REFERENCE[name][0] and r["op"] in ops]
    layers = trace(*models.build(name)).layers
    want = [(ops[r["op"]], int(r["macs"]), int(r["params"]), int(r["weight_bytes"]), int(r["out_bytes"])) for r in table]
    assert [(x.op, x.macs, x.params, x.weight_bytes, x.out_bytes) for x in layers] == want


@pytest.mark.parametrize("name", models.names())
def test_macs_are_half_the_flops_torch_counts(name):
    model, example = models.build(name)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(example)
    assert 2 * trace(model, example).macs == counter.get_total_flops()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.booleans(), st.booleans())
def test_random_convolutions_agree_with_torch(groups, multiple, kernel, stride, same, two_d):
    conv_type, shape = (nn.Conv2d, (11, 9)) if two_d else (nn.Conv1d, (13,))
    padding = "same" if same and stride == 1 else kernel // 2
    conv = conv_type(groups * multiple, groups * 2, kernel, stride, padding, groups=groups)
    example = torch.zeros(2, groups * multiple, *shape)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        out = conv(example)
    layer = trace(conv, example).layers[0]
    assert layer.out_shape == tuple(out.shape[1:])
    assert 2 * 2 * layer.macs == counter.get_total_flops()  # 2 examples, 2 operations a MAC
    assert layer.params == sum(p.numel() for p in conv.parameters())


class Functional(nn.Module):
    """Everything written with functions: a shortcut, a concat, pooling, a mean."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        a = F.relu(self.a(x))
        b = F.max_pool2d(torch.cat([a, self.b(a) + a], dim=1), 2)
        return F.softmax(self.fc(b.mean(dim=(2, 3))), dim=-1)


def test_functions_are_read_like_modules():
    workload = trace(Functional(), torch.zeros(1, 3, 8, 8))
    assert [x.op for x in workload.layers] == ["conv", "conv", "add", "concat", "maxpool", "avgpool", "linear", "softmax"]
    assert workload.layers[2].inputs == ("b", "a")
    assert workload.layers[4].kernel == (2, 2)


def test_a_norm_that_cannot_fold_is_a_layer():
    workload = trace(nn.Sequential(nn.BatchNorm1d(6), nn.Conv1d(6, 8, 3), nn.BatchNorm1d(8), nn.ReLU()), torch.zeros(1, 6, 20))
    assert [x.op for x in workload.layers] == ["norm", "conv"]
    assert workload.layers[1].bias


def test_a_norm_behind_a_relu_is_a_layer():
    workload = trace(nn.Sequential(nn.Conv1d(6, 8, 3), nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(8)), torch.zeros(1, 6, 20))
    assert [x.op for x in workload.layers] == ["conv", "norm"]


def test_a_norm_does_not_fold_into_a_layer_that_somebody_else_reads():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    assert [x.op for x in trace(Both(), torch.zeros(1, 4, 9)).layers] == ["conv", "norm", "add"]


@pytest.mark.parametrize(
    ("pool", "kernel", "stride"),
    [
        (lambda x: F.avg_pool2d(x, 3, 1, 1), (3, 3), (1, 1)),
        (lambda x: F.max_pool2d(x, 3, stride=2), (3, 3), (2, 2)),
        (lambda x: F.avg_pool2d(x, kernel_size=(2, 4)), (2, 4), (2, 4)),
        (lambda x: F.adaptive_avg_pool2d(x, 1), (8, 8), (8, 8)),
        (lambda x: x.mean(3), (1, 8), (1, 8)),
    ],
)
def test_windows_of_pooling_functions(pool, kernel, stride):
    class Pool(nn.Module):
        def forward(self, x):
            return pool(x)

    layer = trace(Pool(), torch.zeros(1, 3, 8, 8)).layers[0]
    assert (layer.kernel, layer.stride) == (kernel, stride)


def test_same_padding_counts_the_dilation():
    assert trace(nn.Conv1d(6, 4, 3, padding="same", dilation=4), torch.zeros(1, 6, 20)).layers[0].padding == (4,)


def test_a_network_that_costs_nothing_has_an_empty_workload():
    workload = trace(nn.Identity(), torch.zeros(1, 4))
    assert (len(workload), workload.macs, workload.peak_activation_bytes) == (0, 0, 0)


def test_a_curve_is_a_layer_and_a_clamp_is_not():
    workload = trace(nn.Sequential(nn.Conv1d(6, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 3), nn.Sigmoid()), torch.zeros(1, 6, 20))
    assert [x.op for x in workload.layers] == ["conv", "conv", "activation"]


def test_dead_channels_are_followed_through_depthwise_and_into_the_next_layer():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 4, 1), nn.Flatten(),
        nn.Linear(4 * 25, 2),
    )  # fmt: skip
    with torch.no_grad():
        net[0].weight[:6] = 0
        net[4].weight[1] = 0
    workload = trace(net, torch.zeros(1, 3, 5, 5))
    first, depthwise, second, fc = workload.layers
    assert (first.live_outputs, first.live_macs) == (2, first.macs // 4)
    assert (depthwise.live_outputs, depthwise.live_macs) == (2, depthwise.macs // 4)
    assert second.live_macs == second.macs * 2 * 3 // (8 * 4)
    assert fc.live_inputs is not None and fc.live_fraction < 1
    assert first.density == pytest.approx(0.25)


def test_turning_channels_into_time_leaves_no_channel_dead():
    class Turn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv1d(3, 4, 1), nn.Conv1d(8, 2, 1)

        def forward(self, x):
            return self.last(self.conv(x).transpose(1, 2))

    net = Turn()
    with torch.no_grad():
        net.conv.weight[1:] = 0
    assert trace(net, torch.zeros(1, 3, 8)).layers[1].live_inputs == 8


def test_a_shortcut_keeps_a_channel_alive():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 2, 1)
            nn.init.zeros_(self.conv.weight)

        def forward(self, x):
            return self.last(self.conv(x) + x)

    last = trace(Residual(), torch.zeros(1, 4, 9)).layers[-1]
    assert last.live_inputs == 4


def test_bits_are_read_off_the_modules():
    net = nn.Sequential(nn.Conv1d(6, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 3))
    net[0].weight_bits = torch.tensor([8, 4, 2, 0])
    net[0].activation_bits = 4
    workload = trace(net, torch.zeros(1, 6, 20))
    assert workload.layers[0].weight_bits == (8, 4, 2, 0)
    assert (workload.layers[0].activation_bits, workload.layers[1].activation_bits) == (4, 8)
    assert trace(net, torch.zeros(1, 6, 20), bits=32).layers[1].weight_bits == 32


def test_masked_weights_lower_the_density():
    conv = nn.Conv1d(4, 4, 2)
    nn.utils.parametrize.register_parametrization(conv, "weight", Mask())
    layer = trace(conv, torch.zeros(1, 4, 9)).layers[0]
    assert layer.op == "conv" and layer.density == pytest.approx(0.5)


class Mask(nn.Module):
    def forward(self, weight):
        return weight * torch.tensor([0.0, 1.0])


def test_tracing_leaves_the_model_as_it_was():
    model, example = models.build("ds-cnn")
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, example)
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_module_called_twice_is_two_layers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(4, 4, 1)

        def forward(self, x):
            return self.conv(self.conv(x))

    assert len(trace(Twice(), torch.zeros(1, 4, 9))) == 2


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (nn.Sequential(nn.Conv1d(3, 4, 1), nn.LSTM(4, 4)), (1, 3, 8), ["'1'", "LSTM"]),
        (Branching(), (1, 3, 8), ["Branching", "control flow"]),
        (nn.Sequential(nn.Linear(5, 2)), (1, 7), ["failed"]),
        (nn.Sequential(nn.Linear(6, 8)), (1, 128, 6), ["'0'", "Linear", "(features,)"]),
        (nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 16, 16), ["'0'", "Conv2d"]),
        (nn.Linear(5, 2), (5,), ["batch first"]),
        (Mean(), (1, 3, 8), ["mean", "channels"]),
        ("ds-cnn", (1, 3), ["not str"]),
    ],
)
def test_what_cannot_be_read_is_named(model, example, words):
    with pytest.raises(TraceError) as error:
        trace(model, torch.zeros(*example))
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("example", [{"a": torch.zeros(1, 4)}, [torch.zeros(1, 4)], torch.zeros(1, 4).numpy()])
def test_an_example_that_is_no_tensor_is_refused(example):
    with pytest.raises(TraceError, match="give one tensor"):
        trace(nn.Linear(4, 2), example)


def test_two_inputs_are_refused():
    with pytest.raises(TraceError, match="one input"):
        trace(nn.Identity(), (torch.zeros(1), torch.zeros(1)))


def test_unknown_network_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean ds-cnn"):
        models.build("dscnn")


def test_a_constant_factor_is_free_and_a_square_is_not():
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.scale = nn.Conv1d(2, 3, 1), nn.Parameter(torch.ones(1))

        def forward(self, x):
            y = self.conv(x) * 2 * self.scale
            return y * y

    assert [x.op for x in trace(Square(), torch.zeros(1, 2, 5)).layers] == ["conv", "mul"]
