"""Granularity: how many weights share one scale.

Every granularity is a way to see a weight tensor ``(out, in, ...)`` as rows, one scale a row. Finer is more accurate and costs
more: a scale for each row, and hardware that can use it. Microcontroller kernels know tensors and output channels; groups are for
accelerators and for language models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


class Granularity:
    def rows(self, w: torch.Tensor) -> torch.Tensor:
        """`w` as ``(rows, n)``."""
        raise NotImplementedError


@dataclass(frozen=True)
class PerTensor(Granularity):
    """One scale for all weights of a layer.

    >>> PerTensor().rows(torch.zeros(8, 4, 3)).shape
    torch.Size([1, 96])
    """

    def rows(self, w: torch.Tensor) -> torch.Tensor:
        return w.reshape(1, -1)


@dataclass(frozen=True)
class PerChannel(Granularity):
    """One scale for each output channel, as TFLite's int8 convolutions have it.

    >>> PerChannel().rows(torch.zeros(8, 4, 3)).shape
    torch.Size([8, 12])
    """

    def rows(self, w: torch.Tensor) -> torch.Tensor:
        return w.reshape(len(w), -1)


@dataclass(frozen=True)
class PerGroup(Granularity):
    """One scale for every `size` neighbouring weights of a channel; a channel that does not split evenly is one group.

    >>> PerGroup(6).rows(torch.zeros(8, 4, 3)).shape
    torch.Size([16, 6])
    """

    size: int = 16

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"a group of {self.size} weights has no scale; give a size of 1 or more")

    def rows(self, w: torch.Tensor) -> torch.Tensor:
        channel = w[0].numel()
        return w.reshape(-1, self.size if channel % self.size == 0 else channel)
