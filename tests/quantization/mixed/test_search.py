"""The search: its price is the exported network's price, its gradient that of finite differences, its export runs in integers."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit.hardware import device
from labkit.quantization.formats import Int
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.mixed.price import device_energy, price_table, weight_memory, weighted
from labkit.quantization.mixed.search import MixedPrecision
from labkit.quantization.prepare import Scheme
from labkit.tracing import trace
from labkit.training import Recipe, fit, predict

BITS = (0, 2, 4, 8)


def small() -> nn.Module:
    """Finds the loudest of three inputs. Channels 0 to 2 hear one input each; 3 to 5 are there in vain."""
    torch.manual_seed(0)
    layers = nn.Conv1d(3, 6, 3, padding=1, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 6, 3, groups=6)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        for layer in (net[0], net[3], net[6]):
            layer.weight.mul_(0.1)
        net[0].weight[range(3), range(3), 1] = 1
        net[3].weight[:3, 0, 1] = 1
        net[6].weight[range(3), range(3)] = 4
        net[6].weight[:, 3:] = 0
    return net


def examples(n=96, seed=1) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 3, 12, generator=torch.Generator().manual_seed(seed))
    return x, x.relu().mean(dim=2).argmax(dim=1)


def searched(seed=0, share="channel", **options) -> MixedPrecision:
    """A search whose θ are random, as if it had run."""
    search = MixedPrecision(small(), examples()[0], share=share, bits=BITS, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for mixture in search.mixtures().values():
            mixture.theta.copy_(torch.randn(mixture.theta.shape, generator=generator) / 20)
    return search


def choose(search: MixedPrecision, name: str, bits) -> None:
    """Makes the search sure of a width for every channel of a layer."""
    mixture = search.mixtures()[name]
    with torch.no_grad():
        mixture.theta.copy_(torch.tensor([[10.0 * (b == width) for b in mixture.bits] for width in bits]))


def trained(strength, seed=0, epochs=12) -> MixedPrecision:
    search = MixedPrecision(small(), examples()[0], bits=BITS)
    recipe = Recipe(epochs=epochs, batch_size=48, learning_rate=5e-3, seed=seed)
    fit(search, examples(), None, recipe, penalty=lambda: strength * search.cost(), progress=False)
    return search


@pytest.mark.parametrize("share, rows", [("channel", [6, 6, 3]), ("layer", [1, 1, 1])])
def test_probabilities_are_probabilities(share, rows):
    search = searched(share=share)
    probabilities = [mixture.probabilities() for mixture in search.mixtures().values()]
    assert [tuple(p.shape) for p in probabilities] == [(n, 4) for n in rows]
    for p in probabilities:
        assert p.min() > 0 and torch.allclose(p.sum(dim=1), torch.ones(len(p)))


@pytest.mark.parametrize("share", ["channel", "layer"])
def test_the_gradient_of_the_cost_against_finite_differences(share):
    search = searched(share=share).double()
    search.cost().backward()
    for mixture in search.mixtures().values():
        theta, step = mixture.theta, 1e-6
        slopes = torch.zeros_like(theta)
        for i in np.ndindex(*theta.shape):
            with torch.no_grad():
                for sign in (1, -1):
                    theta[i] += sign * step
                    slopes[i] += sign * search.cost() / (2 * step)
                    theta[i] -= sign * step
        assert theta.grad.abs().max() > 1e-3
        assert torch.allclose(theta.grad, slopes, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_the_loss_reaches_every_theta_and_every_scale():
    search, (x, y) = searched(), examples()
    F.cross_entropy(search(x), y).backward()
    for mixture in search.mixtures().values():
        assert (mixture.theta.grad.abs().sum(dim=1) > 0).float().mean() >= 0.5  # half of the channels feed nothing
        for quantizer in mixture.quantizers:
            assert quantizer.log_scale.grad.abs().sum() > 0


@pytest.mark.parametrize("share", ["channel", "layer"])
def test_a_weight_is_the_mixture_of_its_quantized_versions(share):
    search = searched(share=share)
    for name, mixture in search.mixtures().items():
        layer = search.network.get_submodule(name)
        w, p = layer.parametrizations.weight.original.detach().numpy(), mixture.probabilities().detach().numpy()
        expected = np.zeros_like(w)
        for i, row in enumerate(w):
            for quantizer, b, share_of_b in zip(mixture.quantizers, BITS[1:], p[i % len(p), 1:], strict=True):
                scale = quantizer.log_scale.exp()[i].item()
                largest = 2 ** (b - 1) - 1
                expected[i] += share_of_b * scale * np.clip(np.round(row / scale), -largest, largest)
        assert layer.weight.detach().numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_sure_search_is_its_export():
    """With all probability on one width for each channel, the mixture is the exported network, the scales being the same."""
    search = searched()
    generator = np.random.default_rng(0)
    for name, mixture in search.mixtures().items():
        choose(search, name, generator.choice(BITS, len(mixture.theta)))
    x = examples()[0]
    assert torch.allclose(search.export()(x), search(x), atol=1e-5)


@pytest.mark.parametrize("share", ["channel", "layer"])
@pytest.mark.parametrize("seed", range(3))
def test_the_export_carries_a_width_for_every_channel_and_weighs_what_the_table_says(share, seed):
    search = searched(seed, share)
    workload = trace(search.export(), examples()[0][:1])
    table = price_table(trace(search.network, examples()[0][:1]), BITS)
    widths = search.assignment()
    assert list(widths) == [layer.name for layer in weighted(workload)]
    total = 0
    for row, layer in zip(table, weighted(workload), strict=True):
        assert layer.weight_bits == widths[layer.name] and len(layer.weight_bits) == layer.out_channels
        assert share == "channel" or len(set(layer.weight_bits)) == 1
        price = np.mean([row[BITS.index(b)] for b in layer.weight_bits])
        assert layer.weight_bytes == math.ceil(price)
        total += price
    for name, bits in widths.items():
        choose(search, name, bits if share == "channel" else bits[:1])
    assert search.cost().item() == pytest.approx(total / table[:, -1].sum(), rel=1e-5)


def test_the_price_may_be_any_devices():
    search = searched(cost=device_energy("mpic"))
    for name, bits in search.assignment().items():
        choose(search, name, bits)
    exported = trace(search.export(), examples()[0][:1])
    energy = [layer.energy_uj for layer in device("mpic").estimate(exported).layers if layer.op in ("conv", "depthwise", "linear")]
    widest = price_table(exported, (8,), device_energy("mpic")).sum()
    assert search.cost().item() == pytest.approx(sum(energy) / widest, rel=1e-5)


def test_a_pruned_channel_is_constant_and_the_others_have_the_codes_of_their_width():
    search = searched()
    choose(search, "0", (0, 2, 4, 8, 0, 2))
    network = search.export()
    layer = network.get_submodule("0")
    assert layer.weight[[0, 4]].abs().max() == 0
    quantizer, original = layer.parametrizations.weight[0], layer.parametrizations.weight.original
    codes = quantizer.codes(original).flatten(1)
    assert torch.equal(layer.weight.flatten(1), quantizer.scale(original) * codes)
    for row, b in zip(codes, (0, 2, 4, 8, 0, 2), strict=True):
        assert row.abs().max() <= (Int(b).high if b else 0)
    assert codes[3].abs().max() > 7
    outputs = layer(examples()[0])
    assert outputs[:, [0, 4]].std(dim=(0, 2)).max() < 1e-6 < outputs[:, [1, 2, 3, 5]].std(dim=(0, 2)).min()


@pytest.mark.parametrize("share", ["channel", "layer"])
def test_integers_give_the_answers_of_fake_quantization(share):
    search = searched(share=share)
    choose(search, "0", (0, 2, 4, 8, 8, 2) if share == "channel" else (4,))
    network, x = search.export(), examples()[0]
    integer = IntegerNetwork.of(network, x[:1])
    assert np.array_equal(integer.run(x.numpy(), rounding="exact"), integer.run(x.numpy(), face="float"))
    fake = network(x).detach().numpy()
    off_by = np.abs(integer.logits(x.numpy(), rounding="exact") - fake) / integer.output.scale
    assert np.mean(off_by < 0.01) > 0.9 and off_by.max() < 4  # a float32 sum that ends on the edge between two codes
    assert np.mean(integer.logits(x.numpy()).argmax(1) == fake.argmax(1)) > 0.97
    assert integer.workload == trace(network, x[:1])


def test_what_is_in_vain_is_pruned_first():
    search = trained(1.0)
    widths = search.assignment()["0"]
    assert widths[3:] == (0, 0, 0) and min(widths[:3]) > 0
    x, y = examples()
    assert (predict(search.export(), x) == y).float().mean() > 0.65


def test_the_seed_decides():
    first, again, other = (trained(0.5, seed, epochs=1) for seed in (0, 0, 1))
    thetas = [torch.cat([m.theta.flatten() for m in search.mixtures().values()]) for search in (first, again, other)]
    assert torch.equal(thetas[0], thetas[1]) and not torch.equal(thetas[0], thetas[2])
    assert first.assignment() == again.assignment()


def test_searching_and_exporting_leave_model_and_search_alone():
    model, (x, y) = small(), examples()
    before = copy.deepcopy(model.state_dict())
    search = MixedPrecision(model, x, bits=BITS)
    expected = search(x)
    once = search.export()
    fit(once, (x, y), None, Recipe(epochs=2, batch_size=32), progress=False)
    assert torch.equal(search(x), expected)
    assert torch.equal(search.export()(x), search.export()(x)) and not torch.equal(once(x), search.export()(x))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_widest_width_everywhere_costs_one():
    search = searched()
    for name, bits in search.assignment().items():
        choose(search, name, [8] * len(bits))
    assert search.cost().item() == pytest.approx(1)
    widest = trace(search.export(), examples()[0][:1])
    assert weight_memory(widest).sum() == pytest.approx(search.prices[:, -1].sum().item())


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(torch.relu(self.conv(x))).mean(2)


def test_bad_input():
    x = examples()[0]
    with pytest.raises(ValueError, match="widths are shared by 'chanel'; did you mean channel"):
        MixedPrecision(small(), x, share="chanel")
    for scheme in (Scheme(weights=Int(8)), Scheme(weights=None, edges=Int(8))):
        with pytest.raises(ValueError, match="give a scheme with weights=None"):
            MixedPrecision(small(), x, scheme=scheme)
    with pytest.raises(ValueError, match="nothing to choose between bits"):
        MixedPrecision(small(), x, bits=(8, 8))
    for bits, wrong in (((0, 33), "33"), ((1, 8), "1")):
        with pytest.raises(ValueError, match=f"Int has no {wrong} bits"):
            MixedPrecision(small(), x, bits=bits)
    with pytest.raises(ValueError, match="calibration batch is empty"):
        MixedPrecision(small(), x[:0])
    with pytest.raises(ValueError, match="nothing to price"):
        MixedPrecision(nn.Sequential(nn.ReLU()), x)
    with pytest.raises(ValueError, match="runs twice, the second time as 'conv_1'"):
        MixedPrecision(Twice(), x)
    shared = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    shared[2].weight = shared[0].weight
    with pytest.raises(ValueError, match="shares its weights"):
        MixedPrecision(shared, torch.zeros(2, 4))
    broken = small()
    broken[0].weight.data[0] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        MixedPrecision(broken, x)
