"""The networks of the course: plain modules, short enough to read aloud. All return logits of shape ``(batch, classes)``."""

from __future__ import annotations

import itertools

import torch
from torch import nn


def conv_bn_relu(conv: nn.Module) -> nn.Sequential:
    """A convolution, its batch norm and a ReLU: one layer once deployed, because norm and ReLU fold into it."""
    norm = nn.BatchNorm1d if isinstance(conv, nn.Conv1d) else nn.BatchNorm2d
    return nn.Sequential(conv, norm(conv.out_channels), nn.ReLU())


class DSCNN(nn.Module):
    """Depthwise-separable CNN for keyword spotting: MLPerf Tiny's reference (Zhang et al., arXiv:1711.07128, "DS-CNN-S").

    Input ``(batch, 1, frames, coefficients)``, by default 49 MFCC frames of 10. 2,656,768 MACs and 22,604 parameters.
    """

    def __init__(self, classes: int = 12, width: int = 64, blocks: int = 4, dropout: float = 0.2):
        super().__init__()
        stem = nn.Conv2d(1, width, (10, 4), stride=(2, 2), padding=(5, 1), bias=False)
        layers = [conv_bn_relu(stem), nn.Dropout(dropout)]
        for _ in range(blocks):
            layers.append(conv_bn_relu(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)))
            layers.append(conv_bn_relu(nn.Conv2d(width, width, 1, bias=False)))
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(x)))


class TemporalBlock(nn.Module):
    """Two convolutions over time and a shortcut; with a stride the shortcut is a 1x1 convolution."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int):
        super().__init__()
        self.first = conv_bn_relu(nn.Conv1d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False))
        self.second = nn.Sequential(
            nn.Conv1d(channels_out, channels_out, kernel, padding=kernel // 2, bias=False), nn.BatchNorm1d(channels_out)
        )
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = conv_bn_relu(nn.Conv1d(channels_in, channels_out, 1, stride, bias=False))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


class TCResNet8(nn.Module):
    """Temporal-convolution ResNet for keyword spotting (Choi et al., arXiv:1904.03814): MFCCs are channels, time is the axis.

    Input ``(batch, coefficients, frames)``.
    """

    def __init__(self, classes: int = 12, coefficients: int = 40, width: float = 1.0, dropout: float = 0.5):
        super().__init__()
        stem, *channels = (round(c * width) for c in (16, 24, 32, 48))
        blocks = [nn.Conv1d(coefficients, stem, 3, padding=1, bias=False)]
        for channels_out in channels:
            blocks.append(TemporalBlock(stem, channels_out, kernel=9, stride=2))
            stem = channels_out
        self.features = nn.Sequential(*blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(dropout))
        self.classifier = nn.Linear(stem, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(x)))


class HARCNN(nn.Module):
    """1-D CNN for human activity. Input ``(batch, channels, samples)``, by default 6 sensor channels and 128 samples."""

    def __init__(self, classes: int = 7, channels: int = 6, widths: tuple[int, ...] = (16, 32, 64), dropout: float = 0.3):
        super().__init__()
        layers = []
        for width, kernel in zip(widths, (7, 5, 3), strict=True):
            layers.append(conv_bn_relu(nn.Conv1d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False)))
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(dropout))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(x)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.first = conv_bn_relu(nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False))
        self.second = nn.Sequential(nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out))
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(channels_in, channels_out, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet8(nn.Module):
    """MLPerf Tiny's image classifier. Input ``(batch, 3, 32, 32)``. 12,501,632 MACs, 77,706 parameters."""

    def __init__(self, classes: int = 10, width: int = 16):
        super().__init__()
        self.stem = conv_bn_relu(nn.Conv2d(3, width, 3, padding=1, bias=False))
        self.blocks = nn.Sequential(
            ResidualBlock(width, width, 1), ResidualBlock(width, 2 * width, 2), ResidualBlock(2 * width, 4 * width, 2)
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.blocks(self.stem(x))))


class Autoencoder(nn.Module):
    """MLPerf Tiny's anomaly detector. Input ``(batch, 640)``, output the same shape. 264,192 MACs, 265,864 parameters."""

    def __init__(self, inputs: int = 640, hidden: int = 128, bottleneck: int = 8):
        super().__init__()
        sizes = [inputs, *[hidden] * 4, bottleneck, *[hidden] * 4, inputs]
        layers = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers.append(nn.Linear(a, b))
            if i < len(sizes) - 2:
                layers += [nn.BatchNorm1d(b), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)
