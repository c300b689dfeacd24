"""A trained binary network as integers: xor, popcount, comparisons. numpy only; PyTorch is read once, when it is made.

Every sum of the float network is an integer times a power of two, exact in float32, so the two agree bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from labkit.quantization import binary, popcount
from labkit.quantization.integer import kernels
from labkit.quantization.thresholds import Thresholds


@dataclass(frozen=True)
class PackedConvolution:
    """A convolution, its batch norm and its sign: ±1 in, ±1 out, both int8 ``(batch, channels, height, width)``.

    The weights are int64 ``(out, in, *kernel)``: signs where `binary`, small integers otherwise.
    """

    weights: np.ndarray
    binary: bool
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    thresholds: Thresholds

    def sums(self, x: np.ndarray) -> np.ndarray:
        """What the thresholds are compared with, int64 ``(batch, out, *places)``."""
        if self.binary:
            return popcount.conv(x, self.weights, self.stride, self.padding)
        bordered = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)], constant_values=-1)
        return kernels.conv(bordered, self.weights, stride=self.stride)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.thresholds(self.sums(x))


@dataclass(frozen=True)
class PackedNetwork:
    """Convolutions, a count over all places, and a classifier of small integers ``(classes, channels)``.

    `run` gives integer logits, `logits` what they are worth: those of the float network.

    >>> import torch
    >>> from labkit.models.binary_networks import BinaryKWS
    >>> model, x = BinaryKWS().eval(), np.random.default_rng(0).choice([-1, 1], (3, 2, 50, 32))
    >>> network = PackedNetwork.of(model)
    >>> with torch.no_grad():
    ...     np.array_equal(network.logits(x), model(torch.from_numpy(x).float()).numpy())
    True
    """

    convolutions: tuple[PackedConvolution, ...]
    classifier: np.ndarray
    scale: float

    @classmethod
    def of(cls, model: nn.Module) -> PackedNetwork:
        """Reads a network in eval mode: blocks of `binarize` (or `fixed_point`) Conv2d, BatchNorm2d and Sign, then
        AdaptiveAvgPool2d(1), Flatten and a `fixed_point` Linear without bias. In front of a block, ``nn.ConstantPad2d(n, -1.0)``.

        Raises ValueError naming the first layer that does not fit.
        """
        layers = list(_steps(model))
        if layers and isinstance(layers[0], binary.Sign):
            del layers[0]  # the input is ±1 already
        convolutions = []
        while layers and not isinstance(layers[0], nn.AdaptiveAvgPool2d):
            padding = _padding(layers.pop(0)) if isinstance(layers[0], nn.ConstantPad2d) else (0, 0)
            conv, norm, _ = (_take(layers, kind) for kind in (nn.Conv2d, nn.BatchNorm2d, binary.Sign))
            convolutions.append(_convolution(conv, norm, padding))
        _take(layers, nn.AdaptiveAvgPool2d)
        return cls(tuple(convolutions), *binary.codes(_take(layers, nn.Linear)))

    def run(self, x: np.ndarray) -> np.ndarray:
        """Integer logits, int64 ``(batch, classes)``, of ±1 pictures ``(batch, channels, height, width)``."""
        return self._classify(self._maps(x))

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The logits of the float network, float32: bit for bit where the last map has a power of two of places."""
        maps = self._maps(x)
        return (self._classify(maps) * (self.scale / maps[0, 0].size)).astype(np.float32)

    def _maps(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x).astype(np.int8)
        for convolution in self.convolutions:
            x = convolution(x)
        return x

    def _classify(self, maps: np.ndarray) -> np.ndarray:
        return kernels.linear(maps.sum(axis=(2, 3), dtype=np.int64), self.classifier)


def _convolution(conv: nn.Conv2d, norm: nn.BatchNorm2d, padding: tuple[int, int]) -> PackedConvolution:
    weights, scale = binary.codes(conv)
    largest_sum = int(np.abs(weights).sum(axis=(1, 2, 3)).max())  # of ±1 inputs
    return PackedConvolution(weights, conv.weight_bits == 1, conv.stride, padding, binary.thresholds(norm, largest_sum, scale))


def _padding(layer: nn.ConstantPad2d) -> tuple[int, int]:
    left, right, top, bottom = layer.padding
    if layer.value != -1 or left != right or top != bottom:
        raise ValueError(f"a binary network pads with −1, and as much before as behind; this one has {layer}")
    return top, left


def _steps(model: nn.Module):
    """The layers of a network in the order of their definition, without those that do nothing when it is used."""
    for layer in model.children():
        if isinstance(layer, nn.Conv2d | nn.Linear) or not any(layer.children()):
            if not isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity):
                yield layer
        else:
            yield from _steps(layer)


def _take(layers: list[nn.Module], kind: type) -> nn.Module:
    """The next layer, which must be of this kind, quantized if it has weights, and without what integers leave no room for."""
    layer = layers.pop(0) if layers else None
    fits = isinstance(layer, kind)
    if fits and kind in (nn.Conv2d, nn.Linear):
        fits = hasattr(layer, "weight_bits") and layer.bias is None and getattr(layer, "groups", 1) == 1
    if not fits:
        raise ValueError(
            f"a packed network wants {kind.__name__} where this one has {layer}; build it of binarize(Conv2d), BatchNorm2d, Sign, "
            "then AdaptiveAvgPool2d(1), Flatten and fixed_point(Linear), without bias and groups"
        )
    return layer
