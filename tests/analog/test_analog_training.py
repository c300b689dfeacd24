"""Noise in training: what is added, that gradients pass, and that it ends. That it helps: tests/recipes/test_analog_recipes.py."""

import copy

import pytest
import torch
from torch import nn

from labkit import analog
from labkit.analog.training import NoisyWeight


def test_noise_has_the_given_share_of_the_largest_weight():
    weight = torch.linspace(-1, 1, 2000).repeat(2, 1) * torch.tensor([[1.0], [3.0]])
    noisy = NoisyWeight(weight, strength=0.1, reach=100.0).train()
    added = torch.stack([noisy(weight) - weight for _ in range(50)])
    torch.testing.assert_close(added.std(dim=(0, 2)), torch.tensor([0.1, 0.3]), rtol=0.02, atol=0)
    assert added.mean().abs() < 0.005


def test_weights_are_clipped_to_their_columns_spread():
    weight = torch.tensor([[0.1, -0.1, 0.1, 5.0], [1.0, -1.0, 1.0, -1.0]])
    clipped = NoisyWeight(weight, strength=0.0, reach=1.5).eval()(weight)
    spread = weight.square().mean(dim=1).sqrt()
    assert clipped[0, 3] == pytest.approx(1.5 * spread[0].item())
    assert torch.equal(clipped[1], weight[1])


def test_gradients_pass_straight_through():
    layer = nn.Linear(3, 1, bias=False)
    analog.inject_noise(layer, strength=0.5, reach=0.1)  # everything is clipped
    layer.train()
    layer(torch.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, torch.tensor([[1.0, 2.0, 3.0]]))


def test_noise_ends_and_nothing_else_has_changed():
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)).eval()
    x = torch.randn(5, 2, 8)
    expected, names = model(x), set(model.state_dict())
    made = analog.inject_noise(copy.deepcopy(model), strength=0.1, reach=100.0)
    assert not torch.equal(made.train()(x), made.train()(x))
    kept = analog.keep_weights(made)
    assert set(kept.state_dict()) == names
    torch.testing.assert_close(kept(x), expected)
    torch.testing.assert_close(kept.train()[0](x), model[0](x))


@pytest.mark.parametrize(("options", "message"), [({"strength": -0.1}, "strength is -0.1"), ({"reach": 0}, "reach is 0")])
def test_noise_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        analog.inject_noise(nn.Linear(2, 2), **options)
