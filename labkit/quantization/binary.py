"""Binary networks: weights and activations are −1 or +1. The sign of 0 is +1.

The sign's gradient is 0 wherever it is defined. Training puts another in its place, 1 inside [−1, 1] and 0 outside: the derivative
of the clipped identity (Courbariaux & Bengio, arXiv:1602.02830, eq. 4). Outside nothing passes: a number that is far from 0 would
only be pushed further, without ever changing its sign.

    network = nn.Sequential(binarize(nn.Conv2d(64, 64, 3, bias=False)), nn.BatchNorm2d(64), Sign())

An ordinary layer becomes binary by a parametrization of its weight: a `Conv2d` stays a `Conv2d`. XNOR-Net multiplies the signs of
a filter by the mean of |w| (Rastegari et al., arXiv:1603.05279, eq. 6), the best scale in the least-squares sense. A batch norm
behind the layer divides any such scale out again, so it is off by default; then every sum is an integer, exact in float32.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from labkit.quantization import thresholds as folding
from labkit.quantization.formats import Binary, Int
from labkit.quantization.granularity import PerTensor
from labkit.quantization.thresholds import Thresholds
from labkit.quantization.weights import WeightQuantizer


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return Binary().project(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


def sign(x: torch.Tensor) -> torch.Tensor:
    """−1 or +1, and +1 for 0; its gradient is that of the identity, clipped to [−1, 1].

    >>> x = torch.tensor([-2.0, -0.5, 0.0, 3.0], requires_grad=True)
    >>> y = sign(x)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([-1.0, -1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0])
    """
    return _Sign.apply(x)


class Sign(nn.Module):
    """The activation of a binary network; one bit of each number is stored."""

    activation_bits = 1  # read by labkit.trace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sign(x)


class BinaryWeight(WeightQuantizer):
    """Signs of a weight, times the mean of |w| of each output channel when `scaled`.

    >>> w = torch.tensor([[0.5, -0.1], [0.2, 0.4]])
    >>> BinaryWeight(scaled=True)(w)
    tensor([[ 0.3000, -0.3000],
            [ 0.3000,  0.3000]])
    >>> BinaryWeight().codes(w).tolist()
    [[1, -1], [1, 1]]
    """

    def __init__(self, scaled: bool = False):
        super().__init__(Binary())
        self.scaled = scaled

    def scale(self, w: torch.Tensor) -> torch.Tensor:
        rows = self.granularity.rows(w)
        return rows.abs().mean(dim=1, keepdim=True) if self.scaled else torch.ones_like(rows[:, :1])

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        return (sign(self.granularity.rows(w)) * self.scale(w)).reshape(w.shape)


class FixedPointWeight(WeightQuantizer):
    """Integers of `bits` bits times one power of two: the weights of the first and the last layer, which are not binary.

    With a power of two the products and sums of the float network are exact, so that the integer network can be compared with it
    bit for bit.

    >>> FixedPointWeight(8).scale(torch.tensor([[0.9, -0.3]])).item() == 2**-7
    True
    """

    def __init__(self, bits: int = 8):
        super().__init__(Int(bits), PerTensor())

    def span_scale(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.exp2(torch.ceil(torch.log2(super().span_scale(rows))))


def binarize(layer: nn.Module, *, scaled: bool = False) -> nn.Module:
    """Makes a convolution or linear layer binary, in place, and returns it.

    Raises ValueError for another layer, a second time, for NaN weights, and for padding with zeros, which are not binary.

    >>> layer = binarize(nn.Linear(2, 1))
    >>> layer.weight.abs().tolist(), layer.weight_bits
    ([[1.0, 1.0]], 1)
    """
    if any(getattr(layer, "padding", None) or ()) and layer.padding_mode == "zeros":
        raise ValueError("a binary input has no zero to pad with; use padding=0, with nn.ConstantPad2d(1, -1.0) before the layer")
    return _parametrize(layer, BinaryWeight(scaled))


def fixed_point(layer: nn.Module, bits: int = 8) -> nn.Module:
    """Gives a convolution or linear layer `FixedPointWeight`, in place, and returns it. Raises ValueError as `binarize` does.

    >>> fixed_point(nn.Linear(2, 1), bits=4).weight_bits
    4
    """
    return _parametrize(layer, FixedPointWeight(bits))


def _parametrize(layer: nn.Module, quantizer: WeightQuantizer) -> nn.Module:
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
        raise ValueError(f"{type(layer).__name__} has no weights to quantize here; give nn.Conv1d, nn.Conv2d or nn.Linear")
    if parametrize.is_parametrized(layer, "weight"):
        raise ValueError("the weight of this layer is quantized already; make a fresh layer")
    if not torch.isfinite(layer.weight).all():
        raise ValueError(f"this {type(layer).__name__} has NaN or infinite weights; repair or train it again")
    parametrize.register_parametrization(layer, "weight", quantizer)
    layer.weight_bits = quantizer.format.bits  # read by labkit.trace
    return layer


def codes(layer: nn.Module) -> tuple[np.ndarray, float]:
    """The integer weights of a quantized layer, int64, and the scale that turns them into its weights.

    >>> integers, scale = codes(fixed_point(nn.Linear(3, 2)))
    >>> integers.shape, scale <= 1 / 64
    ((2, 3), True)
    """
    quantizer, weight = layer.parametrizations.weight[0], layer.parametrizations.weight.original
    scale = quantizer.scale(weight).unique()
    if len(scale) > 1:
        raise ValueError(
            "this layer has a scale for each channel; use binarize(layer) without scaled=True: a batch norm makes up for it"
        )
    return quantizer.codes(weight).numpy(), scale.item()


@torch.no_grad()
def thresholds(norm: nn.Module, reach: int, scale: float = 1.0) -> Thresholds:
    """Batch norm and sign of a layer whose output is scale · integer, with integers from −reach to reach: exact for this module.

    >>> norm = nn.BatchNorm2d(2).eval()
    >>> norm.bias.data = torch.tensor([-2.5, 2.0])
    >>> thresholds(norm, reach=9).limit.tolist()
    [3, -2]
    """
    if norm.training:
        raise ValueError("this batch norm is in training mode and follows each batch; call model.eval() first")
    channels = norm.num_features
    space = (1,) * (2 if isinstance(norm, nn.BatchNorm2d) else 0)

    def line(sums: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(sums * np.float32(scale)).reshape(-1, 1, *space).expand(-1, channels, *space)
        return norm(x.contiguous()).reshape(-1, channels).numpy()

    return folding.find(line, -reach, reach)


def compact(model: nn.Module) -> nn.Module:
    """A copy to be stored: under every binary weight its signs as int8, not the float numbers that training moved.

    Its state loads into a fresh network, which then computes the same.

    >>> compact(binarize(nn.Linear(2, 2))).parametrizations.weight.original.dtype
    torch.int8
    """
    model = copy.deepcopy(model)
    for layer in model.modules():
        if getattr(layer, "weight_bits", None) == 1 and parametrize.is_parametrized(layer, "weight"):
            kept = layer.parametrizations.weight
            kept.original = nn.Parameter(sign(kept.original.detach()).to(torch.int8), requires_grad=False)
    return model
