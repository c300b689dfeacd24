import itertools

import pytest
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit import models
from labkit.quantization.adaround import LearnedRounding, Rounding, adaround, patches
from labkit.quantization.formats import Int, PowerOfTwo
from labkit.quantization.granularity import PerChannel, PerGroup, PerTensor
from labkit.quantization.layerwise import float_network, outputs, walk
from labkit.quantization.prepare import Scheme, calibrate, codes, prepare, weight_quantizers


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


LAYERS = [
    (nn.Linear(10, 4), (7, 10)),
    (nn.Conv1d(4, 6, 3), (3, 4, 9)),
    (nn.Conv1d(4, 6, 5, stride=2, padding=2, groups=2), (3, 4, 9)),
    (nn.Conv1d(4, 4, 3, padding="same", groups=4, padding_mode="circular"), (3, 4, 9)),
    (nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(1, 0)), (70, 3, 9, 6)),
    (nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), (3, 4, 7, 5)),
    (nn.Conv2d(4, 4, 3, padding="same", dilation=2), (3, 4, 9, 9)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_weights_times_patches_is_the_layer(layer, shape):
    x, groups = torch.randn(shape), getattr(layer, "groups", 1)
    y = (layer.weight.reshape(groups, len(layer.weight) // groups, -1) @ patches(layer, x)).flatten(0, 1)
    y = y if layer.bias is None else y + layer.bias[:, None]
    torch.testing.assert_close(y, layer(x).transpose(0, 1).flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(), PerGroup(2)])
def test_error_from_moments_is_the_error_of_the_layer(layer, shape, granularity):
    """The target differs from what the float layer makes of its input, as it does behind other rounded layers."""
    prepared = prepare(nn.Sequential(layer), Scheme(Int(3), None, granularity))
    quantized, x = prepared.get_submodule("0"), torch.randn(shape)
    y = layer(x) + 0.1 * torch.randn_like(layer(x))
    problem = Rounding.of(quantized, x, y.detach())

    def measured():
        return (quantized(x) - y).square().transpose(0, 1).flatten(1).mean(dim=1)

    torch.testing.assert_close(problem.error(problem.nearest).flatten(), measured(), rtol=1e-3, atol=1e-5)
    up = torch.randint(2, problem.weight.shape).float()
    quantizers = quantized.parametrizations.weight
    quantizers[0] = LearnedRounding(quantizers[0], quantizers.original, up)
    torch.testing.assert_close(problem.error(up).flatten(), measured(), rtol=1e-3, atol=1e-5)


def correlated(examples: int, n: int) -> torch.Tensor:
    """Inputs that rise and fall together, as activations do."""
    return torch.randn(examples, n) @ torch.randn(n, n) + torch.randn(examples, 1).relu()


@pytest.mark.parametrize("n", [3, 6, 9])
def test_nearly_as_good_as_trying_every_rounding(n):
    prepared = prepare(nn.Sequential(nn.Linear(n, 20)), Scheme(Int(3), None))
    x = correlated(50, n)
    layer = prepared.get_submodule("0")
    problem = Rounding.of(layer, x, float_network(prepared)(x).detach())
    best = torch.full((1, 20), torch.inf)
    for choice in itertools.product((0.0, 1.0), repeat=n):
        best = torch.minimum(best, problem.error(torch.tensor(choice).expand(1, 20, n)))
    (nearest, learned) = adaround(prepared, x, progress=False)["0"]
    best = best.mean().item()
    assert best - 1e-6 <= learned <= best + 0.2 * (nearest - best)
    assert best < 0.6 * nearest


@pytest.mark.parametrize(
    "scheme", [Scheme(Int(3), None), Scheme(Int(4), granularity=PerTensor()), Scheme(Int(2), weight_scale="mse")]
)
def test_every_layer_puts_out_what_it_should_no_worse_than_nearest_rounding(scheme):
    model, example = models.build("har-cnn", seed=0)
    x = torch.randn(24, *example.shape[1:])
    prepared = prepare(model, scheme)
    calibrate(prepared, x)
    layers = {name: layer for name, (layer, _) in weight_quantizers(prepared).items()}
    nearest = {name: codes(layer) for name, layer in layers.items()}
    plain = (prepared(x) - model.eval()(x)).square().mean()
    errors = adaround(prepared, x, steps=150, progress=False)
    made, wanted = outputs(prepared, list(layers), x), outputs(float_network(prepared), list(layers), x)
    for name, layer in layers.items():
        before, after = errors[name]
        assert after <= before
        torch.testing.assert_close((made[name] - wanted[name]).square().mean().item(), after, rtol=2e-3, atol=1e-7)
        original, quantizer = layer.parametrizations.weight.original, layer.parametrizations.weight[0]
        rows = quantizer.granularity.rows(original) / quantizer.scale(original)
        format = quantizer.format
        above = codes(layer).reshape(rows.shape) - torch.floor(rows).clamp(format.low, format.high)
        assert set(above.unique().tolist()) <= {0, 1}
        assert codes(layer).min() >= format.low and codes(layer).max() <= format.high
        assert not torch.equal(codes(layer), nearest[name])
        torch.testing.assert_close(
            layer.weight, (codes(layer).reshape(rows.shape) * quantizer.scale(original)).reshape(original.shape)
        )
    assert (prepared(x) - model(x)).square().mean() < plain


def test_no_single_weight_is_left_that_should_turn_over():
    prepared = prepare(nn.Sequential(nn.Conv2d(2, 3, 2)), Scheme(Int(3), None))
    x = torch.rand(10, 2, 6, 6)
    problem = Rounding.of(prepared.get_submodule("0"), x, float_network(prepared)(x).detach())
    up = problem.solve(50, tqdm(disable=True))
    for i in range(up[0, 0].numel()):
        turned = up.clone()
        turned[..., i] = torch.where(problem.step[..., i] > 0, 1 - up[..., i], up[..., i])
        assert (problem.error(turned) >= problem.error(up) - 1e-6).all()


def test_it_makes_up_for_what_the_layers_before_have_spoilt():
    """A float layer could not put it right, because its input is off; the moments say so."""
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))
    x = correlated(200, 6)
    prepared = prepare(net, Scheme(Int(2), None))
    problems = {}
    walk(prepared, x, lambda name, layer, x, y: problems.update({name: Rounding.of(layer, x, y)}))
    assert problems["0"].rr.max() < 1e-9 and problems["0"].rx.abs().max() < 1e-5
    assert problems["2"].rr.min() > 1e-3 and problems["2"].rx.abs().max() > 1e-3


def test_two_weights_that_are_alike_are_told_apart():
    net = nn.Sequential(nn.Linear(3, 1, bias=False))
    net[0].weight.data = torch.tensor([[1.0, 0.4, 0.4]])
    prepared = prepare(net, Scheme(Int(2), None))
    adaround(prepared, torch.tensor([[0.0, 1.0, 1.0]]), progress=False)
    assert codes(prepared.get_submodule("0")).sum() == 2


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_weights_that_are_on_the_grid_stay(weight):
    net = nn.Sequential(nn.Conv1d(2, 3, 3))
    nn.init.constant_(net[0].weight, weight)
    prepared = prepare(net, Scheme(Int(4), None))
    assert adaround(prepared, torch.rand(5, 2, 8), steps=50, progress=False)["0"][1] < 1e-10
    assert torch.equal(prepared.get_submodule("0").weight, net[0].weight)


def test_nothing_is_random_and_the_state_can_be_stored():
    x = correlated(30, 5)
    net = nn.Sequential(nn.Linear(5, 8))
    first, second = (prepare(net, Scheme(Int(3), None)) for _ in range(2))
    for prepared in (first, second):
        adaround(prepared, x, steps=60, progress=False)
    assert torch.equal(first(x), second(x))
    with torch.no_grad():
        second.get_submodule("0").parametrizations.weight[0].up.fill_(0)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


def test_progress_is_shown_where_it_is_wanted(capsys):
    for shown in (True, False):
        adaround(prepare(nn.Sequential(nn.Linear(2, 2)), Scheme(Int(3), None)), torch.rand(4, 2), steps=10, progress=shown)
        assert ("10/10" in capsys.readouterr().err) == shown


def test_other_grids_are_refused():
    with pytest.raises(ValueError, match=r"layer '0' has the format PowerOfTwo\(bits=4\); AdaRound works on a uniform grid"):
        adaround(prepare(nn.Sequential(nn.Linear(2, 2)), Scheme(PowerOfTwo(4), None)), torch.rand(4, 2))
    with pytest.raises(ValueError, match="another weight_scale"):
        adaround(prepare(nn.Sequential(nn.Linear(2, 2)), Scheme(Int(4), None, weight_scale="dorefa")), torch.rand(4, 2))


def test_nothing_to_calibrate_with():
    with pytest.raises(ValueError, match="give at least one batch"):
        adaround(prepare(nn.Sequential(nn.Linear(2, 2)), Scheme(Int(3), None)), [], progress=False)
