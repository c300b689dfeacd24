"""A keyword network of signs, and the same network with real numbers, to see what the signs cost."""

from __future__ import annotations

import torch
from torch import nn

from labkit.quantization.binary import Sign, binarize, fixed_point


class BinaryKWS(nn.Module):
    """Keyword spotting on a binary picture ``(batch, comparators, 50 frames, 32 bands)`` of ±1; logits ``(batch, classes)``.

    Between its two ends everything is one bit: full convolutions (a binary depthwise filter sums only 9 signs), batch norm, sign.
    The batch norm's β is the learned threshold of each channel (ReActNet, arXiv:2003.03488, gives it a layer of its own). As
    usual since XNOR-Net the first layer and the classifier are not binary: here 8-bit integers times a power of two.

    No layer pads, because a binary picture has no zero, and the last map has 16 places, so that dividing by their number is exact.
    With ``binary=False`` weights are real and ReLU stands for the sign: the float network of the same shape.
    """

    def __init__(self, classes: int = 12, comparators: int = 2, widths: tuple[int, ...] = (64, 64, 96, 128), binary: bool = True):
        super().__init__()
        outer, inner = (fixed_point, binarize) if binary else (nn.Identity(), nn.Identity())
        a, b, c, d = widths
        self.input = Sign()  # changes nothing: says that one bit comes in
        self.features = nn.Sequential(
            *_block(outer(nn.Conv2d(comparators, a, 5, stride=2, bias=False)), binary),  # 23 x 14 places
            *_block(inner(nn.Conv2d(a, b, 3, stride=2, bias=False)), binary),  # 11 x 6
            *_block(inner(nn.Conv2d(b, c, 3, bias=False)), binary),  # 9 x 4
            *_block(inner(nn.Conv2d(c, d, (2, 3), bias=False)), binary),  # 8 x 2
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = outer(nn.Linear(d, classes, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(self.input(x))))


def _block(conv: nn.Conv2d, binary: bool) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), Sign() if binary else nn.ReLU()
