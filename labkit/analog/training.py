"""Training for analog memory: a network that has met noise in training keeps more of its accuracy on noisy devices.

Every forward pass adds N(0, strength · w_max) to the weights, where w_max is the largest weight of the column, the one that becomes
g_max; gradients pass as if nothing had been added (Joshi et al., Nature Communications 11:2473, 2020). Weights are clipped to a few
standard deviations beforehand: a single large weight would make g_max stand for so much that all others drown.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from labkit.analog.network import LAYERS


class NoisyWeight(nn.Module):
    """A parametrization: clipped to ±`limit`, and noisy while training.

    >>> noisy = NoisyWeight(torch.ones(2, 3), strength=0.1, reach=2.0).eval()
    >>> noisy(torch.tensor([[9.0, 1.0, -9.0], [0.0, 0.5, 1.0]])).tolist()
    [[2.0, 1.0, -2.0], [0.0, 0.5, 1.0]]
    """

    def __init__(self, weight: torch.Tensor, strength: float, reach: float):
        super().__init__()
        self.strength = strength
        spread = weight.detach().flatten(1).square().mean(dim=1).sqrt()
        self.register_buffer("limit", reach * spread.reshape(-1, *[1] * (weight.dim() - 1)))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        changed = torch.clamp(weight, -self.limit, self.limit)
        if self.training:
            largest = changed.detach().abs().flatten(1).amax(dim=1).reshape(self.limit.shape)
            changed = changed + self.strength * largest * torch.randn_like(weight)
        return weight + (changed - weight).detach()


def inject_noise(model: nn.Module, strength: float = 0.1, reach: float = 2.5) -> nn.Module:
    """Makes every convolution and linear layer of `model` noisy while it trains; in place. `keep_weights` ends it.

    `strength` is the standard deviation of the noise as a share of the column's largest weight; `reach` is where weights are
    clipped, in root mean squares of their column at the start.
    """
    if not 0 <= strength < 1:
        raise ValueError(f"strength is {strength}; give a share of the largest weight from 0 up to (not including) 1")
    if not reach > 0:
        raise ValueError(f"reach is {reach}; give a number of standard deviations greater than 0")
    for module in model.modules():
        if isinstance(module, LAYERS):
            parametrize.register_parametrization(module, "weight", NoisyWeight(module.weight, strength, reach))
    return model


def keep_weights(model: nn.Module) -> nn.Module:
    """Ends `inject_noise`: plain weights again, clipped, without noise; in place."""
    model.eval()
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return model
