"""Differentiable mixed precision: every channel (or layer) learns how many bits its weights deserve.

    search = MixedPrecision(model, example, cost=weight_memory)          # wrap
    loss = cross_entropy(search(x), y) + strength * search.cost()        # add the cost to the loss
    network = search.export()                                            # a prepared network with a width for every channel

While searching, a weight is a mixture of its quantized versions, w = Σ_b p_b · Q_b(w), with p = softmax(θ/τ) learned beside the
weights (Cai & Vasconcelos, arXiv:2004.05795; one θ per channel: Risso et al., arXiv:2206.08852). The same p price the network:
cost = Σ_b p_b · price(b). A width of 0 means that the channel is pruned: all its weights are 0, and what is left of it is a number
that the next layer's bias can take in (with zero padding in between only away from the edges).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from labkit.naming import did_you_mean
from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel
from labkit.quantization.mixed.channels import ChannelInt
from labkit.quantization.mixed.price import expected_cost, price_table, weight_memory, weighted
from labkit.quantization.prepare import Scheme, calibrate, make_plain, prepare
from labkit.quantization.weights import LearnedScale, shaped_like
from labkit.tracing import trace

TEMPERATURE = 0.02  # Adam moves θ by the learning rate a step, so θ/τ moves fifty times as fast as a weight
SHARES = ("channel", "layer")


class MixedWeight(nn.Module):
    """The parametrization: w = Σ_b p_b · Q_b(w), p of shape ``(channels or 1, widths)``; every width has learned scales."""

    def __init__(self, weight: torch.Tensor, bits: Sequence[int], rows: int):
        super().__init__()
        self.bits = tuple(bits)
        self.quantizers = nn.ModuleList(LearnedScale(Int(b), PerChannel(), weight=weight) for b in bits if b)
        # start in favour of many bits: a network that has forgotten cannot say what it needs
        start = TEMPERATURE * torch.tensor(self.bits, dtype=torch.float32) / 8
        self.theta = nn.Parameter(start.repeat(rows, 1))

    def probabilities(self) -> torch.Tensor:
        return torch.softmax(self.theta / TEMPERATURE, dim=1)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        kept = self.probabilities()[:, [i for i, b in enumerate(self.bits) if b]]  # width 0 adds nothing
        versions = torch.stack([quantizer(w).flatten(1) for quantizer in self.quantizers], dim=1)  # (channels, widths, n)
        return shaped_like(w, (kept[:, :, None] * versions).sum(dim=1))

    def chosen(self, channels: int) -> tuple[int, ...]:
        """The likeliest width of each channel."""
        best = self.theta.argmax(dim=1).expand(channels)
        return tuple(self.bits[i] for i in best.tolist())


class MixedPrecision(nn.Module):
    """`model` (norms folded, activations quantized) with weights that are mixtures over `bits`.

    `share`: "channel" learns a width for each output channel, "layer" one for each layer. `calibration` is a batch of inputs that
    fixes the activations' ranges. `cost` prices a workload layer by layer, see `labkit.quantization.mixed.price`. `cost()` is
    relative: 1 is the price at the widest width everywhere.

    >>> net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    >>> search = MixedPrecision(net, torch.randn(8, 2, 5), bits=(0, 2, 8))
    >>> search(torch.randn(8, 2, 5)).shape, bool(search.cost() < 1)
    (torch.Size([8, 2]), True)
    >>> trace(search.export(), torch.zeros(1, 2, 5))["0"].weight_bits
    (8, 8, 8, 8)
    """

    def __init__(
        self,
        model: nn.Module,
        calibration: torch.Tensor,
        *,
        cost: Callable = weight_memory,
        bits: Sequence[int] = (0, 2, 4, 8),
        share: str = "channel",
        scheme: Scheme | None = None,
    ):
        super().__init__()
        if share not in SHARES:
            raise ValueError(f"widths are shared by {share!r}; {did_you_mean(share, SHARES)}")
        if len(set(bits)) < 2:
            raise ValueError(f"there is nothing to choose between bits {tuple(bits)}; give two widths or more, such as (2, 4, 8)")
        scheme = scheme or Scheme(weights=None, activation_scale="lsq")
        if scheme.weights is not None or scheme.edges is not None:
            raise ValueError("the search itself quantizes the weights; give a scheme with weights=None and edges=None")
        self.network = prepare(model, scheme)
        calibrate(self.network, calibration)
        workload = trace(self.network, calibration[:1])
        self.layers = [layer.name for layer in weighted(workload)]
        for name in set(self.layers) - dict(self.network.named_modules()).keys():  # the second run of a layer has a name of its own
            raise ValueError(f"a layer runs twice, the second time as {name!r}; give each run a layer of its own")
        self.register_buffer("prices", torch.as_tensor(price_table(workload, tuple(bits), cost), dtype=torch.float32))
        for name in self.layers:
            layer = self.network.get_submodule(name)
            rows = len(layer.weight) if share == "channel" else 1
            parametrize.register_parametrization(layer, "weight", MixedWeight(layer.weight, bits, rows))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with parametrize.cached():
            return self.network(x)

    def mixtures(self) -> dict[str, MixedWeight]:
        return {name: self.network.get_submodule(name).parametrizations.weight[0] for name in self.layers}

    def cost(self) -> torch.Tensor:
        """The expected price as a share of the price at the widest width: differentiable, a number from 0 to 1."""
        probabilities = [mixture.probabilities() for mixture in self.mixtures().values()]
        return expected_cost(probabilities, self.prices) / self.prices.amax(dim=1).sum()

    def assignment(self) -> dict[str, tuple[int, ...]]:
        """Layer -> the likeliest width of each of its channels."""
        return {name: mixture.chosen(len(self.network.get_submodule(name).weight)) for name, mixture in self.mixtures().items()}

    def export(self) -> torch.fx.GraphModule:
        """The network with the likeliest widths: prepared, with learned scales, to be trained on or made integer."""
        network = copy.deepcopy(self.network)
        for name, bits in self.assignment().items():
            layer = network.get_submodule(name)
            make_plain(layer, layer.parametrizations.weight.original)
            assign(layer, bits)
        return network


def assign(layer: nn.Module, bits: Sequence[int]) -> None:
    """Quantizes a plain layer with a width for each output channel and learned scales, in place."""
    quantizer = LearnedScale(ChannelInt(tuple(bits)), PerChannel(), weight=layer.weight)
    parametrize.register_parametrization(layer, "weight", quantizer)
    layer.weight_bits = tuple(bits)  # read by labkit.trace
