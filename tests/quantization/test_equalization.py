import copy

import pytest
import torch
from torch import nn

from labkit import models
from labkit.quantization.equalization import by_input, equalize, equalize_pair, pairs
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerTensor
from labkit.quantization.prepare import Scheme, prepare


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def uneven(*layers: nn.Module) -> nn.Sequential:
    """A network whose channels have very different ranges."""
    net = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for layer in net:
            if hasattr(layer, "weight"):
                spread = torch.logspace(-1.5, 1.5, len(layer.weight))[torch.randperm(len(layer.weight))]
                layer.weight.mul_(spread.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    return net


def ranges(first: nn.Module, second: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """What each channel is written and read with, by plain loops."""
    groups = getattr(second, "groups", 1)
    per_group = second.weight.shape[1]
    outputs = len(second.weight) // groups
    reads = []
    for channel in range(len(first.weight)):
        if isinstance(second, nn.Linear):
            places = second.in_features // len(first.weight)
            reads.append(second.weight[:, channel * places : (channel + 1) * places].abs().max())
        else:
            group = channel // per_group
            reads.append(second.weight[group * outputs : (group + 1) * outputs, channel % per_group].abs().max())
    return torch.stack([row.abs().max() for row in first.weight]), torch.stack(reads)


NETWORKS = {
    "conv, conv": (lambda: uneven(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1)), (2, 3, 12, 12)),
    "no bias": (lambda: uneven(nn.Conv1d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv1d(8, 6, 3, bias=False)), (2, 3, 30)),
    "conv, grouped": (lambda: uneven(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2)), (2, 3, 12, 12)),
    "linear, linear": (lambda: uneven(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4)), (7, 5)),
    "pooled": (lambda: uneven(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.AvgPool1d(2), nn.MaxPool1d(2), nn.Conv1d(8, 4, 3)), (2, 3, 40)),
    "flattened": (lambda: uneven(nn.Conv1d(3, 8, 3), nn.LeakyReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(64, 4)), (2, 3, 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_pair_equals_the_closed_form_and_keeps_the_function(name):
    build, shape = NETWORKS[name]
    net, x = build(), torch.randn(shape)
    r1, r2 = ranges(net[0], net[-1])
    before, weight, reads = net(x), net[0].weight.clone(), by_input(net[-1], len(net[0].weight)).clone()
    even = equalize(net)
    s = torch.sqrt(r1 * r2) / r2
    torch.testing.assert_close(even[0].weight, weight / s.reshape(-1, *[1] * (weight.dim() - 1)))
    torch.testing.assert_close(by_input(even[-1], len(s)), reads * s.reshape(*reads.shape[:2], 1, 1))
    for r in ranges(even[0], even[-1]):
        torch.testing.assert_close(r, torch.sqrt(r1 * r2))
    torch.testing.assert_close(even(x), before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(net(x), before)  # the network given is left as it was


def test_depthwise_triple_converges_to_equal_ranges():
    net = uneven(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv2d(8, 5, 1))
    x = torch.randn(2, 3, 9, 9)
    even = equalize(net)
    assert pairs(net) == [("0", "2"), ("2", "4")]
    torch.testing.assert_close(even(x), net(x), rtol=1e-4, atol=1e-4)
    written, middle, read = *ranges(even[0], even[2]), ranges(even[2], even[4])[1]
    torch.testing.assert_close(written, middle, rtol=1e-3, atol=0)
    torch.testing.assert_close(middle, read, rtol=1e-3, atol=0)
    # all three ranges of a channel become the geometric mean, whatever the way there
    r0, r1 = ranges(net[0], net[2])
    torch.testing.assert_close(middle, (r0 * r1 * ranges(net[2], net[4])[1]) ** (1 / 3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("depthwise", [False, True])
def test_equals_brevitas(depthwise):
    brevitas = pytest.importorskip("brevitas.graph.equalize")
    from brevitas.fx import symbolic_trace

    middle = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU()] if depthwise else []
    net = uneven(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *middle, nn.Conv2d(8, 16, 3, padding=1))
    theirs = brevitas.EqualizeGraph(iterations=100, threshold=1e-5, merge_bias=False).apply(symbolic_trace(copy.deepcopy(net)))
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    ours = equalize(net)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=2e-4, atol=1e-6)


def test_channels_without_weights_stay():
    net = uneven(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 3, 1))
    with torch.no_grad():
        net[0].weight[1] = 0  # nothing but its bias is written
        net[2].weight[:, 2] = 0  # nobody reads it
    even = equalize(net)
    assert torch.equal(even[0].weight[1:3], net[0].weight[1:3]) and torch.equal(even[2].weight[:, 1:3], net[2].weight[:, 1:3])
    assert torch.equal(even[0].bias[1:3], net[0].bias[1:3])
    assert not torch.equal(even[0].weight[0], net[0].weight[0])
    x = torch.randn(2, 2, 9)
    torch.testing.assert_close(even(x), net(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Sigmoid(), nn.Tanh(), nn.Hardtanh(), nn.PReLU(), nn.BatchNorm1d(4)])
def test_what_is_not_homogeneous_breaks_a_pair(activation):
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), activation, nn.Conv1d(4, 3, 1))
    assert pairs(net) == []
    even = equalize(net)
    assert torch.equal(even[0].weight, net[0].weight)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Conv1d(4, 4, 1), nn.Conv1d(4, 4, 1), nn.Conv1d(4, 4, 1), nn.Conv1d(4, 2, 1)

    def forward(self, x):
        x = torch.relu(self.a(x))  # read by b and by the addition
        y = nn.functional.relu(self.b(x))
        return self.d(torch.relu(self.c(y) + x))


def test_a_branch_breaks_a_pair():
    assert pairs(Residual()) == [("b", "c")]
    net, x = Residual().eval(), torch.randn(3, 4, 7)
    torch.testing.assert_close(equalize(net)(x), net(x), rtol=1e-4, atol=1e-5)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(torch.relu(self.a(x)))))


def test_a_linear_layer_that_reads_places_breaks_a_pair():
    net, x = uneven(nn.Conv1d(3, 4, 1), nn.ReLU(), nn.Linear(4, 2)), torch.randn(2, 3, 4)  # as many places as channels
    assert pairs(net) == []
    torch.testing.assert_close(equalize(net)(x), net(x))


def test_a_layer_that_runs_twice_breaks_a_pair():
    assert pairs(Twice()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("ds-cnn", 9), ("har-cnn", 3), ("tc-resnet8", 3), ("resnet8", 3), ("autoencoder", 9)]
)
def test_networks_of_the_course_keep_their_function(name, expected):
    model, example = models.build(name, seed=1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_var.uniform_(0.01, 4)
            module.running_mean.normal_()
            module.weight.data.uniform_(0.1, 3)
    model.eval()
    x = torch.randn(4, *example.shape[1:])
    folded = fold_batch_norms(model)
    assert len(pairs(folded)) == expected
    even = equalize(model)
    torch.testing.assert_close(even(x), model(x), rtol=1e-3, atol=1e-3)
    assert any(not torch.equal(a, b) for a, b in zip(even.parameters(), folded.parameters(), strict=True))


def test_one_scale_per_tensor_then_loses_less():
    net = uneven(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16), nn.ReLU(), nn.Conv2d(16, 8, 1))
    x = torch.randn(16, 3, 10, 10)
    scheme = Scheme(Int(6), activations=None, granularity=PerTensor())
    plain, even = ((prepare(m, scheme)(x) - net(x)).square().mean() for m in (net, equalize(net)))
    assert even < plain / 5


def test_a_pair_at_its_optimum_does_not_move():
    net = equalize(uneven(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 3, 1)))
    assert equalize_pair(net[0], net[2]) == pytest.approx(1, abs=1e-6)


def test_a_quantized_network_is_refused():
    with pytest.raises(ValueError, match="equalise the float network, then prepare it"):
        equalize(prepare(nn.Sequential(nn.Linear(2, 2)), Scheme()))
